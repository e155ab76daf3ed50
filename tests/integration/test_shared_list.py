"""A list of addresses that several processes change at once, and late news that find a mail of weeks ago, on a real broker."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewPartitions
from msgspec.structs import replace

from contracts import clock, topics
from contracts.codec import HEADERS, decode, encode_mail_event, encode_suppression
from contracts.ids import derived_mail_id
from contracts.records import Record
from contracts.statuses import Direction, Status
from contracts.suppressions import Suppression, SuppressionChange, SuppressionReason, suppression_of
from local.run_kafka import LocalKafka
from mail.bounce_address import recipient_digest
from processors.recall_decisions import Decisions
from runtime.apply_topics import apply_topics
from runtime.shared_list import follow_suppressions
from tests.fakes.broker import publishing, settings_of
from tests.fakes.mail_events import event
from tests.wait_for import wait_for


@pytest.fixture
def bootstrap(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    apply_topics(settings_of(kafka.bootstrap, tmp_path_factory.mktemp("topics")))
    yield kafka.bootstrap


def change(by: str, action: str = "added") -> SuppressionChange:
    return SuppressionChange(action=action, at=clock.now(), by=by, reason=SuppressionReason.MANUAL)


async def test_no_change_is_lost_whoever_writes_at_once(bootstrap: str) -> None:
    client = {"bootstrap.servers": bootstrap}
    one, other = follow_suppressions(client), follow_suppressions(client)
    async with publishing(bootstrap) as publisher:
        await asyncio.gather(one.ready(), other.ready())
        writers = [
            (one if number % 2 else other).change(publisher, "race@x.test", change(f"writer {number}"), "test")
            for number in range(10)
        ]
        await asyncio.gather(*writers)
    fresh = follow_suppressions(client)
    await fresh.ready()
    for table in (one, other, fresh):
        await table.catch_up()
        entry = table.get("Race@x.test")
        assert entry is not None and {known.by for known in entry.changes} == {f"writer {n}" for n in range(10)}
        await table.close()


async def test_a_change_is_known_to_who_catches_up_after_it(bootstrap: str) -> None:
    client = {"bootstrap.servers": bootstrap}
    one, other = follow_suppressions(client), follow_suppressions(client)
    await asyncio.gather(one.ready(), other.ready())
    async with publishing(bootstrap) as publisher:
        for number in range(30):
            action = "removed" if number % 2 else "added"
            await one.change(publisher, "fresh@x.test", change("anna", action), "test")
            await asyncio.gather(*(other.catch_up() for _ in range(5)))
            entry = other.get("fresh@x.test")
            assert entry is not None and entry.active == (action == "added"), number
    await one.close()
    await other.close()


async def test_the_same_change_again_writes_nothing(bootstrap: str) -> None:
    table = follow_suppressions({"bootstrap.servers": bootstrap})
    async with publishing(bootstrap) as publisher:
        same = change("outcomes")
        await table.change(publisher, "same@x.test", same, "test")
        publisher.publish_at = None  # type: ignore[method-assign, assignment]
        assert (await table.change(publisher, "same@x.test", same, "test")).changes == [same]
    await table.close()


async def test_what_a_killed_writer_left_in_two_records_is_written_as_one(bootstrap: str) -> None:
    """Else compaction keeps the last record, and the change of the first one is lost."""
    client, address = {"bootstrap.servers": bootstrap}, "torn@x.test"
    first, second = change("anna"), change("outcomes")
    async with publishing(bootstrap) as publisher:
        for one in (first, second):  # neither knew of the other
            value = encode_suppression(suppression_of(address, [one]), "test")
            await publisher.publish(Record(topics.SUPPRESSIONS, address, value, HEADERS))
        table = follow_suppressions(client)
        await table.change(publisher, address, second, "test")  # its record is read again
        await table.close()
    consumer = Consumer({**client, "group.id": "torn", "auto.offset.reset": "earliest", "enable.partition.eof": True})
    consumer.subscribe([topics.SUPPRESSIONS])
    last = b""
    while (message := consumer.poll(10)) is not None:
        if message.error() is None and message.key() == address.encode():
            last = message.value()
            if len(decode(last, Suppression).changes) == 2:
                break
    consumer.close()
    assert {one.by for one in decode(last, Suppression).changes} == {"anna", "outcomes"}


async def test_late_news_find_a_mail_of_twenty_days_ago_behind_many(bootstrap: str) -> None:
    now = clock.now()
    sent = now - timedelta(days=20)
    mail_id = derived_mail_id(sent, "old")
    old = replace(event(Status.SENT, mail_id), occurred_at=sent)
    done = replace(event(Status.DELIVERED, mail_id, attempt=3), occurred_at=sent)
    producer = Producer({"bootstrap.servers": bootstrap})
    moments = [(sent, old), (sent + timedelta(minutes=5), done)]
    moments += [(now, event(Status.SENT)) for _ in range(20_000)]
    for moment, one in moments:
        value = encode_mail_event(one, "test")
        producer.produce(topics.EVENTS, value, b"k", partition=1, timestamp=int(moment.timestamp() * 1000))
        producer.poll(0)
    producer.flush(30)
    decisions = Decisions({"bootstrap.servers": bootstrap}, Direction.OUTBOUND)
    known = await decisions.of_recipient(mail_id, recipient_digest("A@x.test"), 1)
    assert [(one.status, one.attempt) for one in known] == [("sent", 0), ("delivered", 3)]
    assert await decisions.of_recipient(mail_id, recipient_digest("other@x.test"), 1) == []


async def test_a_mail_of_before_the_topic_has_grown_is_found_where_its_key_led(bootstrap: str) -> None:
    """A redelivery keeps what the mail was found to be when it came."""
    old = event(Status.SENT, derived_mail_id(clock.now(), "before"))
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topics.EVENTS, encode_mail_event(old, "test"), b"k", partition=1)
    producer.flush(30)
    decisions = Decisions({"bootstrap.servers": bootstrap}, Direction.OUTBOUND)
    digest = recipient_digest(old.recipient)
    for partition in (0, 1):
        assert await decisions.look_up(old.mail_id, partition, elsewhere=True) == [old]
        assert await decisions.of_recipient(old.mail_id, digest, partition) == [old]
    assert await decisions.look_up(old.mail_id, 0) == []


async def test_news_find_their_mail_while_a_topic_is_grown_before_the_other(bootstrap: str) -> None:
    """`topics apply` grows one after the other; what comes in between, a bounce, is not told as being about nothing."""
    old = event(Status.SENT, derived_mail_id(clock.now(), "in between"))
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topics.EVENTS, encode_mail_event(old, "test"), b"k", partition=1)
    producer.flush(30)
    grown = AdminClient({"bootstrap.servers": bootstrap})
    count = len(grown.list_topics(topics.RAW, 10).topics[topics.RAW].partitions)
    grown.create_partitions([NewPartitions(topics.RAW, count + 1)])[topics.RAW].result(20)
    assert wait_for(lambda: len(grown.list_topics(topics.RAW, 10).topics[topics.RAW].partitions) > count)
    decisions = Decisions({"bootstrap.servers": bootstrap}, Direction.OUTBOUND)
    for partition in (1, count):  # one that the events do not have yet
        assert await decisions.of_recipient(old.mail_id, recipient_digest(old.recipient), partition) == [old]
