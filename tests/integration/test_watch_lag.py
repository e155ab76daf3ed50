"""A consumer that stands still is found, one that rests is not, and what waits is counted."""

import asyncio
import contextlib

import pytest
from confluent_kafka import OFFSET_BEGINNING, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from contracts.records import Place, Record
from local.run_kafka import LocalKafka
from runtime import watch_lag
from runtime.connect_kafka import reader
from runtime.consume import read_records
from runtime.watch_lag import Reading, watch_positions
from tests.fakes.broker import publishing


class Ended(Exception):
    """The process would have ended."""


@pytest.fixture
async def waiting(kafka: LocalKafka, request: pytest.FixtureRequest) -> Place:
    """A partition with three records."""
    topic = f"lag.{abs(hash(request.node.name))}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    async with publishing(kafka.bootstrap) as publisher:
        await publisher.publish_all([Record(topic, "k", b"v", []) for _ in range(3)])
    return topic, 0


async def look(kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch, reading: Reading, place: Place) -> list[int]:
    """What is told in three seconds, of a worker that is looked at each 0.3 s and may stand still for 1 s. Raises Ended."""

    def ended(why: str) -> None:
        raise Ended(why)

    async def readings() -> dict[Place, Reading]:
        return {place: reading}

    monkeypatch.setattr(watch_lag, "end_process", ended)
    monkeypatch.setattr(watch_lag, "INTERVAL_OF_POSITIONS", 0.3)
    told: list[int] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3.0):
            await watch_positions("x", {"bootstrap.servers": kafka.bootstrap}, readings, told.append, stuck=1.0)
    return told


async def test_records_that_do_not_come_end_the_process(
    kafka: LocalKafka, waiting: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a pause does that nobody lifts: the client says nothing of it."""
    consumer = reader({"bootstrap.servers": kafka.bootstrap}, "paused")
    consumer.assign([TopicPartition(*waiting, OFFSET_BEGINNING)])
    consumer.pause([TopicPartition(*waiting)])
    assert not read_records(consumer, 10, 1.0)
    consumer.close()
    with pytest.raises(Ended, match=r"stands still at lag\..*@0, 3 records wait"):
        await look(kafka, monkeypatch, Reading(0, resting=False), waiting)


@pytest.mark.parametrize(
    ("reading", "lag"), [(Reading(1, resting=True), 2), (Reading(3, resting=False), 0), (Reading(-1001, True), 3)]
)
async def test_a_worker_that_rests_or_has_read_all_stays(
    kafka: LocalKafka, waiting: Place, monkeypatch: pytest.MonkeyPatch, reading: Reading, lag: int
) -> None:
    assert set(await look(kafka, monkeypatch, reading, waiting)) == {lag}


async def test_records_that_have_expired_do_not_wait(
    kafka: LocalKafka, waiting: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.delete_records([TopicPartition(*waiting, 3)]).values():
        future.result(20)
    assert set(await look(kafka, monkeypatch, Reading(0, resting=False), waiting)) == {0}
