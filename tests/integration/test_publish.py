"""Topics and acknowledgements on a broker of its own, since it is stopped here."""

import asyncio
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from contracts.errors import InvalidEvent, Unavailable
from contracts.records import Record
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics, pipeline_topics
from runtime.publish import MAX_RECORD, Publisher
from tests.conftest import find_free_port
from tests.fakes.broker import publishing, read_topic, settings_of
from tests.wait_for import wait_for


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path_factory.mktemp("kafka"), find_free_port(), find_free_port()) as running:
        yield running


@pytest.fixture
def topics(broker: LocalKafka, tmp_path: Path) -> None:
    apply_topics(settings_of(broker.bootstrap, tmp_path))


def config_of(broker: LocalKafka, topic: str) -> dict[str, str]:
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    return {name: entry.value for name, entry in future.result(20).items()}


def partitions_of(broker: LocalKafka, topic: str) -> int:
    return len(AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10).topics[topic].partitions)


def test_topics_are_made_once_changed_where_they_differ_and_never_shrunk(broker: LocalKafka, tmp_path: Path) -> None:
    settings = settings_of(broker.bootstrap, tmp_path)
    done = apply_topics(settings)
    assert len(done) == len(pipeline_topics(settings)) and "mail.raw: created with 2 partitions" in done
    assert apply_topics(settings) == []

    grown = settings_of(
        broker.bootstrap,
        tmp_path,
        kafka={"bootstrap": broker.bootstrap, "partitions": 3},
        delivery={"retry": ["1s", "7s"], "expire": "6d"},
    )
    done = apply_topics(grown)
    assert "mail.dispatch.retry.7s: created with 3 partitions" in done
    assert "mail.raw: grown to 3 partitions" in done and partitions_of(broker, "mail.raw") == 3
    assert partitions_of(broker, "mail.events") == 3
    for table in ("mail.suppressions", "mail.tokens", "mail.threads", "mail.claims"):
        assert partitions_of(broker, table) == 2, "a key of a table never moves"
    # A message must be there for its last attempt.
    wanted = timedelta(days=6).total_seconds() * 1000
    # The broker follows its controller within a moment.
    assert wait_for(lambda: int(config_of(broker, "mail.raw")["retention.ms"]) >= wanted, 10)
    assert config_of(broker, "mail.suppressions")["cleanup.policy"] == "compact"

    apply_topics(settings)
    assert partitions_of(broker, "mail.raw") == 3


async def test_more_replicas_than_a_topic_has_are_told_and_stop_nobody(broker: LocalKafka, tmp_path: Path) -> None:
    """Kafka makes replicas by another tool; to ask for two of them before they are there would refuse every record."""
    settings = settings_of(broker.bootstrap, tmp_path)
    apply_topics(settings)
    more = settings_of(
        broker.bootstrap, tmp_path, kafka={"bootstrap": broker.bootstrap, "partitions": 2, "replication": 3}
    )
    done = apply_topics(more)
    assert (
        "mail.raw: stays at 1 replicas, where kafka.replication is 3: kafka-reassign-partitions.sh changes that"
        in done[0]
    )
    assert len(done) == len(pipeline_topics(more)) and config_of(broker, "mail.raw")["min.insync.replicas"] == "1"
    async with publishing(broker.bootstrap) as publisher:
        await publisher.publish(Record("mail.raw", "key", b"x", []))


def test_without_brokers_topics_are_unavailable_and_nothing_hangs(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Kafka"):
        apply_topics(settings_of(f"127.0.0.1:{find_free_port()}", tmp_path), timeout=1.0)


async def test_what_is_acknowledged_is_there_with_key_headers_and_partition(broker: LocalKafka, topics: None) -> None:
    record = Record("mail.verdicts", "key", b"value", [("a", b"1"), ("a", b"2")], 1)
    async with publishing(broker.bootstrap) as publisher:
        await publisher.publish_all([record])
    (found,) = read_topic(broker.bootstrap, "mail.verdicts")
    assert (found.key(), found.value(), found.headers(), found.partition()) == (b"key", b"value", record.headers, 1)


async def test_one_key_always_finds_one_partition(broker: LocalKafka, topics: None) -> None:
    async with publishing(broker.bootstrap) as publisher:
        await publisher.publish_all([Record("mail.connectivity", f"k{n % 5}", b"", []) for n in range(50)])
    places = {(one.key(), one.partition()) for one in read_topic(broker.bootstrap, "mail.connectivity")}
    assert len(places) == 5


async def test_a_record_that_no_broker_takes_is_invalid_and_one_of_the_largest_size_is_taken(
    broker: LocalKafka, topics: None
) -> None:
    async with publishing(broker.bootstrap) as publisher:
        with pytest.raises(InvalidEvent, match="record_too_large"):
            await publisher.publish_all([Record("mail.raw", "k", b"x" * (MAX_RECORD + 1), [])])
        octets = random.Random(1).randbytes(MAX_RECORD)  # nothing that compresses
        await publisher.publish_all(
            [Record("mail.raw", "k", octets, []), Record("mail.deadletter", "k", octets, [("why", b"y" * 3000)])]
        )


async def test_a_topic_that_is_missing_is_named(broker: LocalKafka) -> None:
    async with publishing(broker.bootstrap) as publisher:
        with pytest.raises(Unavailable, match=r"no\.such\.topic is missing: run `mailscope topics apply`"):
            await publisher.warm_up("no.such.topic")


async def test_the_broker_gone_means_unavailable_and_back_means_acknowledged(broker: LocalKafka, topics: None) -> None:
    publisher = Publisher({"bootstrap.servers": broker.bootstrap}, timeout=2.0)
    try:
        await publisher.publish(Record("mail.events", "k", b"before", []))
        await asyncio.to_thread(broker.kill)
        with pytest.raises(Unavailable, match="Kafka is unavailable"):
            await publisher.publish(Record("mail.events", "k", b"while away", []))
        await asyncio.to_thread(broker.start)
        for _ in range(20):  # a client needs a moment to find it again
            try:
                await publisher.publish(Record("mail.events", "k", b"after", []))
                break
            except Unavailable:
                continue
    finally:
        await publisher.close(1)
    values = [one.value() for one in read_topic(broker.bootstrap, "mail.events")]
    assert b"before" in values and values[-1] == b"after"


async def test_without_any_broker_the_first_record_fails_too(tmp_path: Path) -> None:
    async with publishing(f"127.0.0.1:{find_free_port()}", 1.0) as publisher:
        with pytest.raises(Unavailable):
            await publisher.publish(Record("mail.events", "k", b"", []))
