"""Records that cannot be used are kept, and the partition moves on."""

import subprocess
import sys

from confluent_kafka import Producer

from tests.e2e.pipeline import ROOT, Pipeline
from tests.wait_for import wait_for


def _run(pipeline: Pipeline, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mailscope", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=pipeline.environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_junk_on_every_topic_is_put_aside_and_found_again(pipeline: Pipeline) -> None:
    producer = Producer({"bootstrap.servers": pipeline.bootstrap})
    topics = ("mail.raw", "mail.dispatch", "mail.attempts", "mail.events")
    for topic in topics:
        for partition in range(4):
            producer.produce(topic, b'{"junk": \xff', key=b"junk", partition=partition, headers=[("a", b"\xfe")])
    assert producer.flush(10) == 0
    raw, message_id = pipeline.mail(subject="after the junk")
    assert pipeline.send(raw, "desk@ours.test")[0] == 250
    assert pipeline.settled(message_id)[0]["status"] == "processed"
    assert pipeline.outcome(pipeline.submit("junk@partner.test"))["recipients"][0]["status"] == "delivered"

    def listed() -> bool:
        answer = _run(pipeline, "replay")
        assert answer.returncode == 0, answer.stderr
        return all(f"{topic}[{partition}]@" in answer.stdout for topic in topics for partition in range(4))

    assert wait_for(listed, 30, 1.0)
    assert "dead_letters_total" in pipeline._client.get(f"http://127.0.0.1:{pipeline.base + 101}/metrics").text


def test_a_replayed_letter_is_read_again(pipeline: Pipeline) -> None:
    before = _run(pipeline, "replay", "--topic", "mail.attempts").stderr
    answer = _run(pipeline, "replay", "--topic", "mail.attempts", "--yes")
    assert answer.returncode == 0 and "published again" in answer.stderr
    assert wait_for(lambda: _run(pipeline, "replay", "--topic", "mail.attempts").stderr != before, 30, 1.0)

    def acts() -> list[str]:
        items = pipeline.get("/audit", action="replayed", limit=500).json()["items"]
        return [one["detail"] for one in items if one["actor"].startswith("command line (")]

    assert wait_for(lambda: len(acts()) > 0, 30)
    # So the page does not offer them any more.
    waiting = pipeline.get("/dead-letters", topic="mail.attempts", waiting=True, limit=500).json()["items"]
    assert not {one["id"] for one in waiting} & set(acts())
