"""A compacted topic as a table: whole at the start, holes and deletions included, and followed from then on."""

import asyncio
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from contracts.errors import InvalidEvent, Unavailable
from contracts.records import Position, Record
from local.run_kafka import LocalKafka
from runtime import follow_table
from runtime.follow_table import FollowedTable
from tests.conftest import find_free_port
from tests.fakes.broker import publishing, read_topic, wait_until

FORCED = {
    "cleanup.policy": "compact",
    "segment.ms": "50",
    "min.cleanable.dirty.ratio": "0.001",
    "delete.retention.ms": "0",
    "file.delete.delay.ms": "0",
}


@pytest.fixture
def topic(kafka: LocalKafka, request: pytest.FixtureRequest) -> str:
    """A compacted topic of the test's own, with two partitions."""
    name = f"table.{abs(hash(request.node.nodeid))}"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.create_topics([NewTopic(name, 2, 1, config=FORCED)]).values():
        future.result(20)
    return name


def follow(kafka: LocalKafka, topic: str) -> FollowedTable[str]:
    return FollowedTable({"bootstrap.servers": kafka.bootstrap}, topic, decode)


def decode(value: bytes) -> str:
    if value == b"rubbish":
        raise InvalidEvent("wrong_data")
    return value.decode()


async def write(kafka: LocalKafka, topic: str, *pairs: tuple[str, bytes | None]) -> Position:
    """The place of the last one."""
    place = (0, 0)
    async with publishing(kafka.bootstrap) as publisher:
        for key, value in pairs:
            place = await publisher.publish_at(Record(topic, key, value, [], 0))
    return place


async def test_an_empty_topic_is_an_empty_table(kafka: LocalKafka, topic: str) -> None:
    table = follow(kafka, topic)
    await table.ready()
    assert table.snapshot() == {} and table.get("a") is None and table.why_not_ready == ""
    await table.close()


async def test_the_last_value_holds_and_what_is_deleted_is_not_there(kafka: LocalKafka, topic: str) -> None:
    await write(kafka, topic, ("a", b"1"), ("b", b"1"), ("a", b"2"), ("b", None), ("c", b"x"), ("c", b"rubbish"))
    table = follow(kafka, topic)
    await table.ready()
    assert table.snapshot() == {"a": "2", "c": "x"}, "what cannot be read leaves what was"
    before = table.version
    place = await write(kafka, topic, ("a", None), ("d", b"3"))
    await table.read_up_to(place)
    assert table.snapshot() == {"c": "x", "d": "3"} and table.version != before
    await table.close()


async def test_a_log_that_ends_in_holes_is_read_to_its_end(kafka: LocalKafka, topic: str) -> None:
    """Everything but one record is deleted and compacted away, the end as well: no record says where the end is."""
    await write(kafka, topic, *((f"k{number}", b"x") for number in range(50)), ("kept", b"1"))
    place = await write(kafka, topic, *((f"k{number}", None) for number in range(50)))

    def left() -> bool:
        asyncio.run(write(kafka, topic, ("noise", None)))  # a segment is closed by the next record only
        return {message.key() for message in read_topic(kafka.bootstrap, topic)} <= {b"kept", b"noise"}

    await wait_until(left, 90)
    table = follow(kafka, topic)
    await table.ready()
    await table.read_up_to(place)
    assert table.snapshot() == {"kept": "1"}
    await table.close()


async def test_partitions_that_are_added_are_read_too(
    kafka: LocalKafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_table, "LOOK_AGAIN", 0.3)
    table = follow(kafka, topic)
    await table.ready()
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.create_partitions([NewPartitions(topic, 3)]).values():
        future.result(20)

    async def written() -> Position:
        async with publishing(kafka.bootstrap) as publisher:
            return await publisher.publish_at(replace(Record(topic, "new", b"1", []), partition=2))

    for _ in range(50):
        try:
            place = await written()
            break
        except Unavailable:
            await asyncio.sleep(0.1)
    await table.read_up_to(place)
    assert place[0] == 2 and table.get("new") == "1"
    await table.close()


async def test_a_topic_that_is_not_there_and_a_broker_that_is_not_there_are_told(kafka: LocalKafka) -> None:
    missing = follow(kafka, "table.missing")
    with pytest.raises(Unavailable, match="has not been read"):
        await missing.ready(2.0)
    assert "mailscope topics apply" in missing.why_not_ready
    nowhere: FollowedTable[str] = FollowedTable(
        {"bootstrap.servers": f"127.0.0.1:{find_free_port()}"}, "table.x", decode
    )
    with pytest.raises(Unavailable, match="after 1 s"):
        await nowhere.ready(1.0)
    async with asyncio.timeout(30):
        await asyncio.gather(missing.close(), nowhere.close())
