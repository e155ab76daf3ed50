"""Records side by side, and their acknowledgements in order."""

import asyncio
import tracemalloc
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.events import Event as FaustEvent
from faust.types.tuples import ConsumerMessage

from contracts import topics
from contracts.records import ConsumedRecord
from processors.acknowledge_in_order import OrderedAcks
from processors.run_app import take_record


class Event:
    def __init__(self, acked: list[int], offset: int) -> None:
        self._acked = acked
        self._offset = offset

    def ack(self) -> None:
        self._acked.append(self._offset)


async def test_a_small_record_that_ends_makes_no_room_for_a_large_one() -> None:
    ends: dict[int, asyncio.Event] = {}

    async def work(source: ConsumedRecord) -> None:
        await ends[source.offset].wait()

    acks = OrderedAcks(work, most=100, octets=1000, weigh=lambda source: source.size)
    acked: list[int] = []
    sizes = [1500, 10, 1500, 10]

    async def read() -> None:
        for offset, size in enumerate([10, *sizes]):
            ends[offset] = asyncio.Event()
            await acks.submit(Event(acked, offset), ConsumedRecord("t", 0, offset, b"", bytes(size), []))

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    assert acks.in_flight == 2, "a large one may exceed the room, the next one waits"
    ends[0].set()
    await asyncio.sleep(0.01)
    assert (acks.in_flight, acked) == (1, [0])
    for offset in range(1, 5):
        ends[offset].set()
        await asyncio.sleep(0.01)
    await reading
    await asyncio.sleep(0.01)
    assert (acks.in_flight, acked) == (0, [0, 1, 2, 3, 4])


async def test_a_slow_record_holds_back_only_the_acknowledgements_of_its_partition() -> None:
    slow = asyncio.Event()
    acked: list[int] = []

    async def work(source: ConsumedRecord) -> None:
        if source.offset == 0:
            await slow.wait()

    acks = OrderedAcks(work, most=100, octets=1000, weigh=lambda source: source.size)
    for offset, partition in ((0, 0), (1, 0), (2, 1)):
        await acks.submit(Event(acked, offset), ConsumedRecord("t", partition, offset, b"", b"", []))
    await asyncio.sleep(0.01)
    assert acked == [2]
    slow.set()
    await asyncio.sleep(0.01)
    assert acked == [2, 0, 1]


async def test_a_record_that_is_read_again_while_it_is_in_work_is_decided_once_and_acknowledged_twice() -> None:
    ended = asyncio.Event()
    worked: list[int] = []
    acked: list[int] = []

    async def work(source: ConsumedRecord) -> None:
        worked.append(source.offset)
        await ended.wait()

    acks = OrderedAcks(work, most=100, octets=1000, weigh=lambda source: source.size)
    for number, offset in enumerate((5, 6, 5, 6, 7)):  # the partition went, and came back
        await acks.submit(Event(acked, number), ConsumedRecord("t", 0, offset, b"", b"x", []))
    await asyncio.sleep(0.01)
    assert worked == [5, 6, 7]
    ended.set()
    await asyncio.sleep(0.01)
    assert acked == [0, 1, 2, 3, 4]


def read(acked: list[int], offset: int, octets: int) -> Any:
    """An event as Faust reads it."""
    consumer = SimpleNamespace(ack=lambda message: acked.append(message.offset))
    key, value, headers = bytes([offset]) * octets, bytes([offset]) * octets, [("h", bytes([offset]) * octets)]
    message = ConsumerMessage(topics.RAW, 0, offset, 0.0, 0, headers, key, value, None)
    return FaustEvent(SimpleNamespace(consumer=consumer), key, value, dict(headers), message)  # type: ignore[arg-type]


@pytest.mark.parametrize("offsets", [range(1, 201), [0] * 200], ids=["done", "read again"])
async def test_a_record_that_waits_for_its_acknowledgement_holds_no_octets(offsets: Iterable[int]) -> None:
    """Behind one that waits for the blob store, for half a minute; or because its partition went and came back."""
    octets, first = 20_000, asyncio.Event()
    acked: list[int] = []

    async def work(source: ConsumedRecord) -> None:
        if source.offset == 0:
            await first.wait()

    acks = OrderedAcks(work, most=10, octets=1 << 20, weigh=lambda source: source.size)
    tracemalloc.start()
    try:
        for offset in [0, *offsets]:
            event = read(acked, offset, octets)
            await acks.submit(event, take_record(event))
        await asyncio.sleep(0.01)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert (acked, acks.in_flight) == ([], 1)
    assert held < 30 * octets, "those in work, not 200 that wait"
    first.set()
    await asyncio.sleep(0.01)
    assert acked == [0, *offsets]


async def test_what_follows_from_a_record_counts_before_it_is_made() -> None:
    """A record of a few octets for a thousand recipients is many records."""
    most = 0
    ends = asyncio.Event()

    async def work(source: ConsumedRecord) -> None:
        nonlocal most
        most = max(most, acks.in_flight)
        await ends.wait()

    acks = OrderedAcks(work, most=100, octets=1000, weigh=lambda source: 600)
    acked: list[int] = []
    for offset in range(2):
        await acks.submit(Event(acked, offset), ConsumedRecord("t", 0, offset, b"", b"", []))
    third = asyncio.ensure_future(acks.submit(Event(acked, 2), ConsumedRecord("t", 0, 2, b"", b"", [])))
    await asyncio.sleep(0.01)
    assert (most, third.done()) == (2, False)
    ends.set()
    await third
    await asyncio.sleep(0.01)
    assert acked == [0, 1, 2]
