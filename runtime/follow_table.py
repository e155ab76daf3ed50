"""A topic that several processes share as their state: read whole at start, then followed, in a thread of its own.

Promise: once `ready()` has returned, everything that stood in the topic at the start has been taken, and what is written later is taken
within milliseconds. When Kafka is away the state stays as it was last known, and goes on when Kafka is back. One reader for each
process; it commits nothing. Memory: what the topic holds after compaction, so only topics of bounded keys are followed.

The end of a partition is what the brokers say it is, never a count of records: compaction leaves holes, also at the end.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from contracts.errors import InvalidEvent, Unavailable
from contracts.records import ConsumedRecord, Position
from runtime.connect_kafka import Complaints, Properties, reader
from runtime.consume import consumed
from runtime.start_thread import start_thread

BATCH = 500  # records at a time
WAIT = 0.2  # seconds for the first of them, and so what stopping may take
LOOK_AGAIN = 30.0  # seconds after which it is asked whether the topic has more partitions
FIRST = 0  # where every partition is begun
DEADLINE = 10.0  # seconds for what has been acknowledged to be read

_log = logging.getLogger("mailscope.table")
Value = TypeVar("Value")
Condition = Callable[[], bool]


class TopicFollower:
    """Gives every record of a topic to `take`, in the order of its partition, from a thread of its own. What `take` raises is a bug: it
    ends the process."""

    def __init__(self, kafka: Properties, topic: str, take: Callable[[ConsumedRecord], None]) -> None:
        self._kafka = kafka
        self._topic = topic
        self._take = take
        self._complain = Complaints(f"reader of {topic}")
        self._lock = threading.Lock()
        self._read: dict[int, int] = {}  # by partition: what will be read next
        self._ends: dict[int, int] = {}  # by partition: all below was read, at a moment when nothing stood above
        self._complete = False
        self._trouble = ""
        self._waiting: list[tuple[Condition, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._asker: Consumer | None = None
        self._looking = asyncio.Lock()
        self._next_look: asyncio.Future[dict[int, int]] | None = None  # that has not begun to ask
        self._stop = threading.Event()
        self._thread = start_thread(f"follow {topic}", self._run)

    @property
    def why_not_ready(self) -> str:
        """Empty once everything that stood in the topic at the start has been read."""
        return "" if self._complete else f"{self._topic} has not been read yet{self._trouble}"

    async def ready(self, at_most: float = DEADLINE) -> None:
        """Wait until everything that stood in the topic at the start has been read. Unavailable after `at_most` seconds."""
        await self.until(lambda: self._complete, at_most, f"it has not been read{self._trouble}")

    async def read_up_to(self, place: Position, at_most: float = DEADLINE) -> None:
        """Wait until the record at this place has been read, and with it all that its partition held at some moment after it was
        written: then nothing is unknown that stood before it, whatever was compacted away. Unavailable after `at_most` seconds."""
        partition, offset = place
        await self.until(lambda: self._ends.get(partition, -1) > offset, at_most, "what was written is not read")

    async def catch_up(self, at_most: float = DEADLINE) -> None:
        """Wait until all that stood in the topic at this moment has been read: for who has to know the newest word. Who asks meanwhile
        shares the next look at the ends. Unavailable after `at_most` seconds."""
        if self._next_look is None:
            self._next_look = asyncio.ensure_future(self._look_at_ends())
        ends = await asyncio.shield(self._next_look)
        await self.until(lambda: self._has_read(ends), at_most, "its end is not reached")

    async def _look_at_ends(self) -> dict[int, int]:
        async with self._looking:
            self._next_look = None  # who comes from now on needs a later one
            return await asyncio.to_thread(self._ask_ends)

    def _ask_ends(self) -> dict[int, int]:
        """By a client of its own: the reader's would have the question wait behind its fetch."""
        if self._asker is None:
            self._asker = reader(self._kafka, "ends")
        try:
            return {
                number: self._asker.get_watermark_offsets(TopicPartition(self._topic, number), DEADLINE)[1]
                for number in list(self._read)
            }
        except KafkaException as error:
            raise Unavailable("Kafka", f"{self._topic}: {error}") from error

    def _has_read(self, ends: dict[int, int]) -> bool:
        """Whether all below these ends was read; compaction leaves holes there, and then the brokers say that nothing follows."""
        return all(max(self._read.get(one, 0), self._ends.get(one, 0)) >= end for one, end in ends.items())

    async def until(self, condition: Condition, at_most: float, otherwise: str) -> None:
        """Wait until a condition holds that follows from what was read; it is asked in the reader's thread too. Unavailable (saying
        `otherwise`) after `at_most` seconds."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        waiter = (condition, loop, future)
        with self._lock:
            if condition():
                return
            self._waiting.append(waiter)
        try:
            async with asyncio.timeout(at_most):
                await future
        except TimeoutError:
            raise Unavailable("Kafka", f"{self._topic}: {otherwise} after {at_most:g} s") from None
        finally:
            with self._lock, contextlib.suppress(ValueError):
                self._waiting.remove(waiter)

    async def close(self) -> None:
        """Stop reading. What was read stays."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join, 2.0)
        if self._asker is not None:
            await asyncio.to_thread(self._asker.close)

    def _run(self) -> None:
        consumer = reader(self._kafka, "table", enable_partition_eof=True, auto_offset_reset="earliest")
        look_at = 0.0
        try:
            while not self._stop.is_set():
                if time.monotonic() >= look_at:
                    look_at = time.monotonic() + (LOOK_AGAIN if self._look_for_partitions(consumer) else 0.5)
                if self._read:
                    self._read_on(consumer)
                else:
                    self._stop.wait(WAIT)
        finally:
            consumer.close()

    def _look_for_partitions(self, consumer: Consumer) -> bool:
        """Read partitions that are new as well. Whether the brokers answered."""
        try:
            found = consumer.list_topics(self._topic, 1.0).topics[self._topic]
        except KafkaException as error:
            self._complain(error.args[0])
            return False
        if found.error is not None:
            self._complain(found.error)
            self._trouble = " (is it there? `mailscope topics apply` makes it)"
            return False
        new = [number for number in found.partitions if number not in self._read]
        if new:
            consumer.incremental_assign([TopicPartition(self._topic, number, FIRST) for number in new])
            self._read.update(dict.fromkeys(new, FIRST))
        return bool(self._read)

    def _read_on(self, consumer: Consumer) -> None:
        first = consumer.poll(WAIT)
        if first is None:
            return
        batch = [first, *consumer.consume(BATCH - 1, 0)]
        for message in batch:
            self._read_one(message)
        for partition in {message.partition() for message in batch if message.error() is None}:
            # What the last answer of the brokers said, which is at least as new as the records that came with it.
            _, end = consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)
            if 0 <= end <= self._read[partition]:
                self._ends[partition] = self._read[partition]
        self._tell()

    def _read_one(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self._take(consumed(message))
            self._read[message.partition()] = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self._ends[message.partition()] = max(message.offset(), self._read[message.partition()])
        else:
            self._complain(error)

    def _tell(self) -> None:
        with self._lock:
            self._complete = self._complete or set(self._ends) >= set(self._read)
            done = [waiter for waiter in self._waiting if waiter[0]()]
            self._waiting = [waiter for waiter in self._waiting if waiter not in done]
        for _, loop, future in done:
            with contextlib.suppress(RuntimeError):  # its loop has ended
                loop.call_soon_threadsafe(_resolve, future)


class FollowedTable(Generic[Value]):
    """The last value of each key of a compacted topic; a key that was deleted is not there. Safe for threads."""

    def __init__(
        self,
        kafka: Properties,
        topic: str,
        decode: Callable[[bytes], Value],
        merge: Callable[[Value, Value], Value] = lambda before, new: new,
    ) -> None:
        """`merge` says what holds when a key has a value already."""
        self._topic = topic
        self._decode = decode
        self._merge = merge
        self._lock = threading.Lock()
        self._values: dict[str, Value] = {}
        self._torn: set[str] = set()  # keys whose last record does not say all that holds
        self._version = 0
        self._follower = TopicFollower(kafka, topic, self._put)

    @property
    def version(self) -> int:
        """Another number after each change."""
        return self._version

    @property
    def why_not_ready(self) -> str:
        """Empty once the table is complete."""
        return self._follower.why_not_ready

    def get(self, key: str) -> Value | None:
        """The last value; None when there is none."""
        return self._values.get(key)

    def is_torn(self, key: str) -> bool:
        """Whether the last record of a key says less than its value, which was merged: compaction would lose the rest."""
        return key in self._torn

    def snapshot(self) -> dict[str, Value]:
        """All of it, as it is now."""
        with self._lock:
            return dict(self._values)

    async def ready(self, at_most: float = DEADLINE) -> None:
        """Wait until the table is complete. Unavailable after `at_most` seconds."""
        await self._follower.ready(at_most)

    async def read_up_to(self, place: Position, at_most: float = DEADLINE) -> None:
        """Wait until the table holds what was written there. Unavailable after `at_most` seconds."""
        await self._follower.read_up_to(place, at_most)

    async def catch_up(self, at_most: float = DEADLINE) -> None:
        """Wait until the table holds all that stands in the topic at this moment. Unavailable after `at_most` seconds."""
        await self._follower.catch_up(at_most)

    async def close(self) -> None:
        """Stop following; what is known stays."""
        await self._follower.close()

    def _put(self, record: ConsumedRecord) -> None:
        key = (record.key or b"").decode("utf-8", "replace")
        try:
            value = self._decode(record.value) if record.value is not None else None
        except (
            InvalidEvent
        ) as error:  # the value before it holds: state has no dead letters, it is put right by writing anew
            _log.error("%s is left out: %s", record, error)
            return
        with self._lock:
            self._torn.discard(key)
            if value is None:
                self._values.pop(key, None)
            else:
                before = self._values.get(key)
                merged = self._values[key] = value if before is None else self._merge(before, value)
                if merged != value:
                    self._torn.add(key)
            self._version += 1


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
