"""A consumer that is not ours reads the public topics and holds them against the published JSON Schema."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import jsonschema
from confluent_kafka import Consumer

from tests.e2e.pipeline import ROOT, Pipeline

SCHEMAS = Path(ROOT) / "docs" / "schemas"


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


def test_the_example_prints_each_change_once_and_goes_on_where_it_was(pipeline: Pipeline) -> None:
    """examples/consume_status.py, killed and started again."""

    def read_until(mail_id: str) -> list[dict]:
        command = [sys.executable, str(ROOT / "examples" / "consume_status.py"), pipeline.bootstrap, "delivered"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            giving_up = threading.Timer(60, process.kill)
            giving_up.start()
            assert process.stdout is not None
            found = []
            for line in process.stdout:
                found.append(json.loads(line))
                if found[-1]["mail_id"] == mail_id:
                    break
            time.sleep(1)  # what it has done is committed
            giving_up.cancel()
            process.kill()
        return found

    first, second = (pipeline.submit(f"example{number}@partner.test") for number in (1, 2))
    pipeline.outcome(first)
    pipeline.outcome(second)
    assert [one["status"] for one in read_until(second) if one["mail_id"] == second] == ["delivered"]
    third = pipeline.submit("example3@partner.test")
    pipeline.outcome(third)
    again = [one["mail_id"] for one in read_until(third)]
    assert again.count(third) == 1 and len(again) < 50, "it began anew"
