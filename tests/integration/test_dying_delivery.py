"""A mail that kills the process that delivers it fails, and those beside it are delivered, once each unless they were on the wire."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from contracts import clock, topics
from contracts.codec import decode
from contracts.events import AttemptReport, Dispatch, RawPointer, Target
from contracts.ids import new_mail_id
from contracts.raw_message import Envelope, RawType, encode_headers
from contracts.records import Record
from contracts.statuses import Direction, Reason
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from runtime.publish import Publisher
from runtime.suspect_records import DEATHS
from tests.conftest import find_free_port
from tests.fakes.broker import command, publishing, read_topic, record, settings_of
from tests.fakes.counting_mta import CountingMta

ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = ["beside 0", "beside 1", "poison", "beside 2", "beside 3"]


async def ask_for(publisher: Publisher, subject: str) -> Dispatch:
    """A message, and the command to deliver it to two domains, each in a dialogue of its own."""
    envelope = Envelope(
        mail_id=new_mail_id(),
        type=RawType.SUBMITTED,
        direction=Direction.OUTBOUND,
        received_at=clock.now(),
        envelope_from="b@ours.test",
        recipients=["a@x.test"],
        size=100,
    )
    octets = f"Subject: {subject}\r\n\r\nhello\r\n".encode()
    headers = encode_headers(envelope, "test")
    partition, offset = await publisher.publish_at(Record(topics.RAW, envelope.mail_id, octets, headers))
    asked = msgspec.structs.replace(
        command("a@x.test"),
        mail_id=envelope.mail_id,
        envelope_from="b@ours.test",
        targets=[Target(address="a@x.test"), Target(address="a@y.test")],
        raw=RawPointer(topic=topics.RAW, partition=partition, offset=offset),
    )
    await publisher.publish(record(asked))
    return asked


async def test_a_mail_that_kills_delivery_fails_and_those_beside_it_are_delivered(tmp_path: Path) -> None:
    remote = CountingMta("127.0.0.1", port := find_free_port())
    try:
        with LocalKafka(tmp_path / "kafka", find_free_port(), find_free_port()) as kafka:
            apply_topics(settings_of(kafka.bootstrap, tmp_path / "data"))
            async with publishing(kafka.bootstrap) as publisher:
                asked = {subject: await ask_for(publisher, subject) for subject in SUBJECTS}
            argv = [sys.executable, "-m", "tests.integration.dying_delivery", kafka.bootstrap, str(tmp_path / "data")]
            argv += [f"127.0.0.1:{port}", str(len(SUBJECTS))]
            deaths = 0
            while (done := subprocess.run(argv, cwd=ROOT, env=os.environ, capture_output=True, timeout=90)).returncode:
                deaths += 1
                assert done.returncode == -9 and deaths < 20, done.stderr.decode()[-2000:]
            assert deaths == DEATHS
            reports = [decode(one.value(), AttemptReport) for one in read_topic(kafka.bootstrap, topics.ATTEMPTS)]
    finally:
        remote.stop()
    failed = [one for one in reports if one.attempts[0].reason is Reason.INTERNAL_ERROR]
    assert [one.mail_id for one in failed] == [asked["poison"].mail_id]
    assert "died" in failed[0].attempts[0].text
    assert {one.mail_id for one in reports} == {one.mail_id for one in asked.values()}
    assert set(remote.came) == set(SUBJECTS) - {"poison"}
