"""How far a consumer group is behind, and a watchdog: a worker that stands still while records wait is started anew (for Faust, issues
523, 532 and 629; for any consumer, a pause that nobody lifts)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from contracts.records import Place
from runtime.connect_kafka import Properties, admin, observer
from runtime.consume import partitions_of
from runtime.end_process import end_process

INTERVAL = 2.0  # seconds between two looks of `watch_lag`, and
INTERVAL_OF_POSITIONS = 5.0  # of `watch_positions`
STUCK = 60.0  # seconds without progress, with records waiting and none in work


class OldestWaiting:
    """Whether the oldest record of a topic that a group has not done has waited for longer than so many seconds. By its place among the
    times of its partition: who takes strangers' mail needs no right to read what waits."""

    def __init__(self, kafka: Properties, group: str, topic: str, limit: float) -> None:
        self._topic = topic
        self._limit = limit
        self._observer = observer(kafka, group)

    def measure(self) -> bool | None:
        """None when the brokers do not answer. Blocks."""
        try:
            numbers = partitions_of(self._observer, self._topic, 5.0)
            committed = self._observer.committed([TopicPartition(self._topic, one) for one in numbers], 5.0)
            since = int((time.time() - self._limit) * 1000)
            newer = self._observer.offsets_for_times([TopicPartition(self._topic, one, since) for one in numbers], 5.0)
            for done, young in zip(committed, newer, strict=True):
                low, high = self._observer.get_watermark_offsets(done, 5.0)
                if max(done.offset, low) < (young.offset if young.offset >= 0 else high):
                    return True
        except KafkaException:
            return None
        return False

    def close(self) -> None:
        """Stop asking."""
        self._observer.close()


@dataclass(frozen=True)
class Reading:
    """How far a partition was read."""

    next: int  # the offset that is read next; below 0: from its beginning
    resting: bool  # it is not read on purpose, for the moment


class EndOffsets:
    """How many records wait in partitions, asked of the brokers for all of them at once."""

    def __init__(self, kafka: Properties) -> None:
        self._client = admin(kafka, quiet=True)

    def waiting(self, readings: Mapping[Place, Reading]) -> dict[Place, int] | None:
        """Records that stand at or after the next offset of each; None when the brokers do not answer. Blocks."""
        try:
            ends = self._list(readings, OffsetSpec.latest())
            ahead = [place for place, end in ends.items() if end > readings[place].next]
            begins = self._list(ahead, OffsetSpec.earliest())  # what has expired waits no more
        except (KafkaException, TimeoutError):
            return None
        return {
            place: max(0, ends.get(place, 0) - max(reading.next, begins.get(place, 0)))
            for place, reading in readings.items()
        }

    def _list(self, places: Iterable[Place], spec: OffsetSpec) -> dict[Place, int]:
        asked = {TopicPartition(*place): spec for place in places}
        if not asked:
            return {}
        found: dict[Place, int] = {}
        for part, future in self._client.list_offsets(asked, request_timeout=5.0).items():
            try:
                found[part.topic, part.partition] = int(future.result(10.0).offset)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise  # a topic that was deleted hides no other one
        return found


class Lag:
    """How far a group is behind the topics that it reads, in records."""

    def __init__(self, kafka: Properties, group: str, topics: list[str]) -> None:
        self._topics = topics
        self._consumer = observer(kafka, group)
        self._ends = EndOffsets(kafka)

    def measure(self) -> dict[Place, int] | None:
        """End offset minus committed offset of every partition; None when the brokers do not answer. Blocks."""
        try:
            partitions = [
                TopicPartition(topic, number)
                for topic in self._topics
                for number in partitions_of(self._consumer, topic, 5.0)
            ]
            committed = self._consumer.committed(partitions, 5.0)
        except KafkaException:
            return None
        return self._ends.waiting({(one.topic, one.partition): Reading(one.offset, False) for one in committed})

    def close(self) -> None:
        """Stop asking."""
        self._consumer.close()


async def watch_positions(
    name: str,
    kafka: Properties,
    readings: Callable[[], Awaitable[dict[Place, Reading]]],
    tell: Callable[[int], object],
    stuck: float = STUCK,
) -> None:
    """Look until cancelled. `readings` are the partitions of this process, `tell` hears how many records wait in them. A partition that
    holds records which do not come for `stuck` seconds, though nobody lets it rest, is a client that stands still: the process ends."""
    ends = EndOffsets(kafka)
    moved: dict[Place, tuple[int, float]] = {}  # the position that was seen, and when it was seen first
    while True:
        await asyncio.sleep(min(INTERVAL_OF_POSITIONS, stuck))
        now_at = await readings()
        waiting = await asyncio.to_thread(ends.waiting, now_at)
        if waiting is None:  # nothing can come while the brokers are away
            moved.clear()
            continue
        tell(sum(waiting.values()))
        moved = {place: since for place, since in moved.items() if place in now_at}
        for place, reading in now_at.items():
            seen, since = moved.get(place, (None, 0.0))
            if reading.resting or reading.next != seen or not waiting[place]:
                moved[place] = (reading.next, time.monotonic())
            elif time.monotonic() - since > stuck and (await readings()).get(place) == reading:
                end_process(
                    f"{name} stands still at {place[0]}[{place[1]}]@{reading.next}, {waiting[place]} records wait"
                )


async def watch_lag(
    name: str,
    lag: Lag,
    assigned: Callable[[], Set[Place]],
    progress: Callable[[], int],
    busy: Callable[[], bool],
    tell: Callable[[int], object],
    stuck: float = STUCK,
) -> None:
    """Look until cancelled. `progress` changes whenever the worker gets on, `busy` says whether anything is in work, `tell` hears the
    lag of the whole group. Ends the process when neither has been so for `stuck` seconds while records wait in the partitions that are
    `assigned` to it: what waits in others is their workers' business."""
    still_since, seen = time.monotonic(), -1
    while True:
        await asyncio.sleep(INTERVAL)
        behind = await asyncio.to_thread(lag.measure)
        if behind is not None:
            tell(sum(behind.values()))
        waiting = sum((behind or {}).get(place, 0) for place in assigned())
        if not waiting or progress() != seen or busy():
            still_since, seen = time.monotonic(), progress()
        elif time.monotonic() - still_since > stuck:
            end_process(f"{name} stands still with {waiting} records waiting")
