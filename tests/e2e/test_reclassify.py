"""Bounces that older rules have classified, and the rules of today."""

import contextlib
import time
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from msgspec.structs import replace

from contracts import topics
from contracts.codec import HEADERS, decode, encode_mail_event
from contracts.errors import InvalidEvent
from contracts.events import MailEvent
from contracts.statuses import BounceClass, BounceType, Reason
from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for


def final_event(pipeline: Pipeline, mail_id: str) -> MailEvent:
    """The mail's last event as it stands in Kafka."""
    consumer = Consumer({"bootstrap.servers": pipeline.bootstrap, "group.id": f"test-{time.time_ns()}"})
    try:
        found = []
        for number in consumer.list_topics(topics.EVENTS, 10).topics[topics.EVENTS].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topics.EVENTS, number), 10)
            consumer.assign([TopicPartition(topics.EVENTS, number, low)])
            while low < high:
                message = consumer.poll(10)
                assert message is not None and not message.error()
                low = int(message.offset() or 0) + 1
                with contextlib.suppress(InvalidEvent):  # what other tests have left
                    if (event := decode(message.value(), MailEvent)).mail_id == mail_id:
                        found.append(event)
        return found[-1]
    finally:
        consumer.close()


def test_old_bounces_are_classified_by_the_rules_of_today(pipeline: Pipeline) -> None:
    pipeline.outside.partner.plan["older@partner.test"] = "550 5.1.1 <older@partner.test>: User unknown"
    mail_id = pipeline.submit("older@partner.test")
    (row,) = pipeline.outcome(mail_id)["recipients"]
    assert row["bounce_class"] == "invalid_recipient"
    event = final_event(pipeline, mail_id)
    assert event.bounce is not None
    old = replace(
        event,
        reason=Reason.PROVIDER_REJECTED,
        bounce=replace(
            event.bounce,
            bounce_type=BounceType.BLOCK,
            bounce_class=BounceClass.POLICY_REJECTED,
            rule="words.older",
            rules_version="2025.1.1",
        ),
    )
    producer = Producer({"bootstrap.servers": pipeline.bootstrap, "partitioner": "murmur2_random"})
    producer.produce(topics.EVENTS, key=mail_id.encode(), value=encode_mail_event(old, "test"), headers=HEADERS)
    producer.flush(10)

    def row_says(bounce_class: str, reason: str) -> bool:
        (now,) = pipeline.detail(mail_id)["recipients"]
        return (now["bounce_class"], now["reason"], now["status"]) == (bounce_class, reason, "delivery_failed")

    assert wait_for(lambda: row_says("policy_rejected", "provider_rejected"), 15)
    told = pipeline.command("reclassify", "--since", "1h")
    assert "1  block/policy_rejected  ->  hard/invalid_recipient" in told and mail_id in told
    assert "not suppressed, and its new class would: mailscope suppressions add older@partner.test" in told
    assert row_says("policy_rejected", "provider_rejected"), "told, and nothing else"
    assert "1 classified otherwise, written" in pipeline.command("reclassify", "--since", "1h", "--apply")
    assert wait_for(lambda: row_says("invalid_recipient", "invalid_address"), 15)
    assert len(events := bounced(pipeline, mail_id)) == 1, events
    assert "0 classified otherwise" in pipeline.command("reclassify", "--since", "1h")


def bounced(pipeline: Pipeline, mail_id: str) -> list[dict[str, Any]]:
    return [event for event in pipeline.detail(mail_id)["events"] if event["status"] == "delivery_failed"]


def test_a_time_that_cannot_be_read_is_said_so(pipeline: Pipeline) -> None:
    assert "--since" in pipeline.command("reclassify", "--since", "yesterday", expect=2)
