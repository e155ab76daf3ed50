"""Every process is killed with -9 while mail flows; every 250 is in the log, once, with its true final status."""

import collections
import os
import signal
import smtplib
import threading
import time
from collections.abc import Iterator

import pytest

from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for

RATE = 15  # messages a second
EXPECTED = {"desk@ours.test": "processed", "drop@ours.test": "dropped", "fwd-k@ours.test": "forwarded"}


@pytest.fixture
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    running = Pipeline(tmp_path_factory.mktemp("victim"))
    try:
        yield running.start()
    finally:
        running.close()


class Traffic:
    """Mail in both directions; remembers what was accepted, and where it was to go."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._stop = threading.Event()
        self.inbound: dict[str, str] = {}  # Message-ID -> recipient, for each 250
        self.outbound: list[str] = []  # mail_id, for each 202
        self.refused = collections.Counter[str]()
        self._threads = [threading.Thread(target=self._receive), threading.Thread(target=self._submit)]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _receive(self) -> None:
        recipients = list(EXPECTED)
        number = 0
        while not self._stop.is_set():
            recipient = recipients[number % len(recipients)]
            raw, message_id = self._pipeline.mail(recipient, f"mail {number}")
            try:
                code, _ = self._pipeline.send(raw, recipient)
            except (OSError, smtplib.SMTPException) as error:
                self.refused[type(error).__name__] += 1  # no 250: nothing was promised
            else:
                if code == 250:
                    self.inbound[message_id] = recipient
                else:
                    assert code // 100 == 4, f"{code} for a good mail"
                    self.refused[str(code)] += 1
            number += 1
            time.sleep(1 / RATE)

    def _submit(self) -> None:
        number = 0
        while not self._stop.is_set():
            body = {
                "from": "desk@ours.test",
                "to": [f"k{number}@partner.test"],
                "subject": f"out {number}",
                "text": "x",
            }
            try:
                answer = self._pipeline.post("/send", body)
                if answer.status_code == 202:
                    self.outbound.append(answer.json()["mail_id"])
                else:
                    assert answer.status_code == 503, answer.text
            except OSError:
                self.refused["send"] += 1
            except Exception as error:  # httpx has many names for a lost connection
                self.refused[type(error).__name__] += 1
            number += 1
            time.sleep(4 / RATE)


@pytest.mark.alone
def test_no_accepted_mail_is_lost_or_doubled_whatever_is_killed(victim: Pipeline) -> None:
    stages = victim.stages
    assert {"kafka", "inbound", "outbound", "outcomes", "delivery", "handlers", "console", "smtp-1", "smtp-2"} <= set(
        stages
    )
    with Traffic(victim) as traffic:
        time.sleep(3)
        for stage in stages:
            before = victim.stage_pid(stage)
            os.kill(before, signal.SIGKILL)
            assert wait_for(lambda b=before, s=stage: _pid(victim, s) not in (None, b), 30), (
                f"{stage} was not restarted"
            )
            time.sleep(3)
        assert wait_for(victim.is_ready, 60)
        time.sleep(2)
    assert len(traffic.inbound) > 50 and len(traffic.outbound) > 20, traffic.refused

    rows: dict[str, list[dict]] = {}

    def all_settled() -> bool:
        rows.clear()
        for item in _everything(victim):
            key = item["message_id"] if item["direction"] == "inbound" else item["mail_id"]
            rows.setdefault(key, []).append(item)
        wanted = [*traffic.inbound, *traffic.outbound]
        return all(key in rows and all(row["terminal"] for row in rows[key]) for key in wanted)

    settled = wait_for(all_settled, 90, 1.0)
    missing = [key for key in [*traffic.inbound, *traffic.outbound] if key not in rows]
    assert not missing, f"{len(missing)} accepted mails are not in the log"
    unsettled = [row for key in [*traffic.inbound, *traffic.outbound] for row in rows[key] if not row["terminal"]]
    assert settled and not unsettled, unsettled[:3]
    for message_id, recipient in traffic.inbound.items():
        assert [row["status"] for row in rows[message_id]] == [EXPECTED[recipient]], rows[message_id]
    for mail_id in traffic.outbound:
        assert [row["status"] for row in rows[mail_id]] == ["delivered"], rows[mail_id]

    # What really happened, as the other side saw it: nothing that the log calls done was not done.
    arrived = [one.content for one in victim.outside.partner.arrived]
    for message_id, recipient in traffic.inbound.items():
        if recipient == "fwd-k@ours.test":
            assert any(message_id.encode() in content for content in arrived)
    handled = {call.mail["message_id"] for call in victim.outside.desk.calls}
    assert {key for key, recipient in traffic.inbound.items() if recipient == "desk@ours.test"} <= handled
    doubled = [one for one, count in collections.Counter(arrived).items() if count > 1]
    print(
        f"{len(traffic.inbound)} inbound, {len(traffic.outbound)} outbound, {len(doubled)} delivered twice, {dict(traffic.refused)}"
    )


def test_stopped_and_started_again_everything_is_still_there(tmp_path_factory: pytest.TempPathFactory) -> None:
    running = Pipeline(tmp_path_factory.mktemp("again"))
    try:
        running.start()
        raw, message_id = running.mail("drop@ours.test", "before")
        running.send(raw, "drop@ours.test")
        running.settled(message_id)
        running.stop()
        running.start()
        (row,) = running.settled(message_id)
        assert row["subject"] == "before"
        assert running.get(f"/mails/{row['mail_id']}/raw").content == raw
        raw, message_id = running.mail("drop@ours.test", "after")
        assert running.send(raw, "drop@ours.test")[0] == 250
        assert running.settled(message_id)
    finally:
        running.close()


@pytest.mark.alone
def test_kafka_away_means_451_and_never_a_5xx(victim: Pipeline) -> None:
    os.kill(victim.stage_pid("kafka"), signal.SIGSTOP)
    try:
        raw, _ = victim.mail("drop@ours.test", "while away")
        code, text = victim.send(raw, "drop@ours.test")
        assert code == 451, text
    finally:
        os.kill(victim.stage_pid("kafka"), signal.SIGCONT)
    raw, _ = victim.mail("drop@ours.test", "back")
    assert wait_for(lambda: victim.send(raw, "drop@ours.test")[0] == 250, 60, 1.0)


def _pid(pipeline: Pipeline, stage: str) -> int | None:
    try:
        return pipeline.stage_pid(stage)
    except (OSError, ValueError):
        return None


def _everything(pipeline: Pipeline) -> list[dict]:
    items: list[dict] = []
    cursor = None
    while True:
        answer = pipeline.get("/mails", limit=500, **({"cursor": cursor} if cursor else {})).json()
        items += answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None:
            return items
