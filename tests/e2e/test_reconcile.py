"""A record that is taken out of a topic on purpose is missed by its mail_id, and by nobody before."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for


@pytest.fixture(scope="module")
def lossy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    running = Pipeline(tmp_path_factory.mktemp("lossy"))
    try:
        yield running.start()
    finally:
        running.close()


def stage(pipeline: Pipeline, name: str) -> dict:
    return next(one for one in pipeline.get("/system").json()["stages"] if one["name"] == name)


def metric(pipeline: Pipeline, what: str) -> str:
    lines = pipeline.page("/metrics").text.splitlines()
    return next(
        (line.split()[-1] for line in lines if line.startswith(f'mailscope_console_missing_mails{{what="{what}"}}')), ""
    )


def delete_messages(pipeline: Pipeline) -> None:
    """All that `mail.raw` holds now."""
    consumer = Consumer({"bootstrap.servers": pipeline.bootstrap, "group.id": "looks"})
    partitions = consumer.list_topics("mail.raw", timeout=10).topics["mail.raw"].partitions
    ends = [consumer.get_watermark_offsets(TopicPartition("mail.raw", number), timeout=10)[1] for number in partitions]
    consumer.close()
    admin = AdminClient({"bootstrap.servers": pipeline.bootstrap})
    wanted = [TopicPartition("mail.raw", number, end) for number, end in zip(partitions, ends, strict=True) if end]
    for future in admin.delete_records(wanted).values():
        future.result(20)


@pytest.mark.long
def test_a_lost_record_is_found_by_its_mail(lossy: Pipeline) -> None:
    for number in range(5):
        raw, message_id = lossy.mail("drop@ours.test", f"kept {number}")
        lossy.send(raw, "drop@ours.test")
        lossy.settled(message_id)
    assert wait_for(lambda: metric(lossy, "decision") == "0.0" == metric(lossy, "message"), 60)
    assert "0 missing, of 5 mails" in lossy.command("reconcile")

    inbound = lossy.stage_pid("inbound")
    os.kill(inbound, signal.SIGSTOP)
    try:
        time.sleep(2)  # what it had asked the broker for is answered, and it asks for nothing more
        raw, lost = lossy.mail("drop@ours.test", "lost")
        assert lossy.send(raw, "drop@ours.test")[0] == 250
        assert wait_for(lambda: stage(lossy, "clickhouse")["waiting"] == 0 and stage(lossy, "inbound")["waiting"], 60)
        delete_messages(lossy)
    finally:
        os.kill(inbound, signal.SIGCONT)

    # The log does not call itself complete beyond what nobody has read, until mail goes on in that partition.
    def found_while_mail_goes_on() -> bool:
        raw, _ = lossy.mail("drop@ours.test", "goes on")
        lossy.send(raw, "drop@ours.test")
        return metric(lossy, "decision") == "1.0"

    assert wait_for(found_while_mail_goes_on, 120, every=2)
    assert metric(lossy, "message") == "0.0" and not lossy.rows(lost)
    said = lossy.command("reconcile", "--since", "1h", expect=1)
    assert "1 missing, of " in said and "taken, and nothing is known of it" in said
    (mail_id,) = (line.split()[0] for line in said.splitlines()[1:])
    trouble = lossy.get("/system").json()["troubles"][0]
    assert trouble["what"] == "the log misses the decision of one mail"
    assert mail_id in lossy.log() and f"{mail_id}, received at" in lossy.log()
