"""Commands that are still in work when their sink is killed or stopped are done after the restart, not forgotten."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for


@pytest.fixture
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A pipeline whose desk and whose slow.test answer late until `go` is set."""
    running = Pipeline(tmp_path_factory.mktemp("slow"))
    go = threading.Event()
    desk, answer = running.outside.desk, running.outside.desk.answer

    def late(call):  # type: ignore[no-untyped-def]
        if call.mail["subject"].startswith("late"):
            go.wait(8)
        return answer(call)

    desk.answer = late  # type: ignore[method-assign]
    running.go = go  # type: ignore[attr-defined]
    try:
        yield running.start()
    finally:
        go.set()
        running.close()


def _send_mixed(pipeline: Pipeline) -> list[str]:
    """Mail to the desk, slow and quick in turn, so that what is done lies behind what is not."""
    sent = []
    for number in range(12):
        raw, message_id = pipeline.mail("desk@ours.test", f"{'late' if number % 3 == 0 else 'quick'} {number}")
        assert pipeline.send(raw, "desk@ours.test")[0] == 250
        sent.append(message_id)
    assert wait_for(
        lambda: len([call for call in pipeline.outside.desk.calls if call.mail["subject"].startswith("late")]) >= 4
    )
    time.sleep(1.5)  # the quick ones are done and committed
    return sent


def test_a_killed_sink_takes_up_what_it_had_not_finished(slow: Pipeline) -> None:
    sent = _send_mixed(slow)
    before = slow.stage_pid("handlers")
    os.kill(before, signal.SIGKILL)
    assert wait_for(lambda: (slow.data / "run" / "handlers.pid").exists() and slow.stage_pid("handlers") != before)
    time.sleep(3)
    slow.go.set()  # type: ignore[attr-defined]
    for message_id in sent:
        assert slow.settled(message_id)[0]["status"] == "processed"


def test_a_pipeline_that_is_stopped_takes_up_what_it_had_not_finished(slow: Pipeline) -> None:
    sent = _send_mixed(slow)
    slow.stop()
    slow.go.set()  # type: ignore[attr-defined]
    slow.start()
    for message_id in sent:
        assert slow.settled(message_id)[0]["status"] == "processed"


def test_an_answer_that_is_not_utf8_and_a_long_one_are_told(slow: Pipeline) -> None:
    partner = slow.outside.partner
    partner.plan["umlaut@partner.test"] = b"550 5.1.1 Empf\xe4nger unbekannt"
    (row,) = slow.outcome(slow.submit("umlaut@partner.test"))["recipients"]
    assert row["status"] == "delivery_failed" and "unbekannt" in row["smtp_text"]
    assert slow.outcome(slow.submit("fine@partner.test"))["recipients"][0]["status"] == "delivered"
