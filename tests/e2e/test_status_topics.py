"""A consumer that is not ours reads the public topics and holds them against the published JSON Schema."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jsonschema
import pytest
from confluent_kafka import Consumer

from tests.e2e.pipeline import ROOT, Pipeline

SCHEMAS = Path(ROOT) / "docs" / "schemas"
PAGE = Path(ROOT) / "docs" / "status-topics.md"


def test_every_status_change_follows_the_published_schema(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("drop@ours.test", "for the topics")
    pipeline.send(raw, "drop@ours.test")
    pipeline.settled(message_id)
    mail_id = pipeline.submit("topics@partner.test")
    pipeline.outcome(mail_id)
    schema = json.loads((SCHEMAS / "status-change.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    consumer = Consumer(
        {"bootstrap.servers": pipeline.bootstrap, "group.id": "downstream", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["mail.status.inbound", "mail.status.outbound"])
    seen: list[dict] = []
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None or message.error():
                continue
            event = json.loads(message.value())
            validator.validate(event)
            assert message.key().decode() == event["data"]["mail_id"]
            assert dict(message.headers())["content-type"].startswith(b"application/cloudevents+json")
            seen.append(event)
            types = {event["type"] for event in seen if event["data"]["mail_id"] == mail_id}
            inbound = [event for event in seen if event["data"]["message_id"] == message_id]
            if len(types) == 2 and len(inbound) == 2:
                break
    finally:
        consumer.close()
    assert types == {"mailscope.mail.sent.v1", "mailscope.mail.delivered.v1"}
    assert [event["data"]["status"] for event in inbound] == ["received", "dropped"]
    ours = [event["id"] for event in seen if mail_id == event["data"]["mail_id"]] + [event["id"] for event in inbound]
    assert (
        len(set(ours)) == len(ours) == 4
    )  # of other mail, whose records a test has published again, there may be repetitions


def shown(begins: str, bootstrap: str) -> str:
    """The command of docs/status-topics.md that begins so, for this broker."""
    (line,) = (one.strip() for one in PAGE.read_text().splitlines() if one.startswith("    " + begins))
    assert "127.0.0.1:9092" in line
    return line.replace("127.0.0.1:9092", bootstrap).replace(" delivery_failed", " delivered")


def read_until(command: str, mail_id: str, cwd: Path = ROOT) -> list[dict]:
    """The lines of JSON that it prints, the first of this mail as the last; it is killed a second after it."""
    with subprocess.Popen(
        shlex.split(command), stdout=subprocess.PIPE, text=True, cwd=cwd, start_new_session=True
    ) as process:
        giving_up = threading.Timer(120, os.killpg, (process.pid, signal.SIGKILL))
        giving_up.start()
        assert process.stdout is not None
        found = []
        for line in process.stdout:
            found.append(json.loads(line))
            if mail_id in line:
                break
        time.sleep(1)  # what it has done is committed
        giving_up.cancel()
        os.killpg(process.pid, signal.SIGKILL)
    return found


def prints_once_and_goes_on(pipeline: Pipeline, command: str, cwd: Path = ROOT) -> None:
    first, second = (pipeline.submit(f"example{number}@partner.test") for number in (1, 2))
    pipeline.outcome(first)
    pipeline.outcome(second)
    assert [one["status"] for one in read_until(command, second, cwd) if one["mail_id"] == second] == ["delivered"]
    third = pipeline.submit("example3@partner.test")
    pipeline.outcome(third)
    again = [one["mail_id"] for one in read_until(command, third, cwd)]
    assert again.count(third) == 1 and len(again) < 50, "it began anew"


def test_the_example_prints_each_change_once_and_goes_on_where_it_was(pipeline: Pipeline) -> None:
    command = shown("python examples/consume_status.py", pipeline.bootstrap)
    prints_once_and_goes_on(pipeline, command.replace("python", sys.executable, 1))


def test_one_line_of_kcat_reads_the_topics(pipeline: Pipeline) -> None:
    mail_id = pipeline.submit("kcat@partner.test")
    pipeline.outcome(mail_id)
    found = read_until(shown("kcat", pipeline.bootstrap), mail_id)
    assert found[-1]["specversion"] == "1.0" and found[-1]["data"]["mail_id"] == mail_id


@pytest.mark.long  # Maven fetches what it needs; needs a JDK of 17 or later
def test_the_example_in_java_does_the_same(pipeline: Pipeline, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "java", tmp_path / "examples" / "java", ignore=shutil.ignore_patterns("target"))
    prints_once_and_goes_on(pipeline, shown("mvn", pipeline.bootstrap), tmp_path)
