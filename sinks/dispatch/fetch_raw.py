"""The message of a command: read from where it stands in Kafka, or from the blob store."""

import asyncio
import logging
from collections import OrderedDict, defaultdict

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from contracts.errors import InvalidEvent, Unavailable
from contracts.events import RawPointer
from contracts.raw_message import Envelope, decode_headers
from contracts.records import ConsumedRecord
from runtime.blobs import BlobStore
from runtime.connect_kafka import Properties, reader
from runtime.consume import consumed

_log = logging.getLogger("mailscope.sinks")
READERS = 4  # that read side by side: a retry's message stands anywhere
FETCH_OCTETS = 2 << 20  # that are kept of one fetch
CACHE_OCTETS = 32 << 20
RECORD_OVERHEAD = 1024  # octets that a record takes beside its value and headers
TIMEOUT = 10.0  # seconds


class RawReader:
    """Random access to `mail.raw`. What the client fetched along the way is kept, since commands come in its order."""

    def __init__(self, kafka: Properties, blobs: BlobStore, name: str) -> None:
        self._blobs = blobs
        self._cache: OrderedDict[tuple[int, int], ConsumedRecord] = OrderedDict()
        self._octets = 0
        # By partition: what stands together comes with one fetch, and those who wait for it need none of their own.
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._readers: list[Consumer] = []
        self._idle: asyncio.Queue[Consumer] = asyncio.Queue()
        for _ in range(READERS):
            made = reader(
                kafka,
                f"raw-{name}",
                auto_offset_reset="error",
                fetch_wait_max_ms=50,
                queued_max_messages_kbytes=2048,
            )
            self._readers.append(made)
            self._idle.put_nowait(made)

    async def warm_up(self, topic: str, at_most: float = 30.0) -> None:
        """Connect all readers: one that has stood idle since it was made takes half a second for its first message."""
        try:
            await asyncio.gather(*(asyncio.to_thread(one.list_topics, topic, at_most) for one in self._readers))
        except KafkaException as error:
            raise Unavailable("Kafka", str(error)) from error

    async def read(self, pointer: RawPointer) -> tuple[Envelope, bytes]:
        """Envelope and octets; waits while Kafka or the blob store is away. InvalidEvent when the message is gone."""
        pause = 0.2
        while True:
            try:
                record = await self._find(pointer)
                envelope = decode_headers(record.headers)
                return envelope, await self._blobs.message(envelope, record.value)
            except Unavailable as error:
                _log.warning("waiting for a message: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 10.0)

    def close(self) -> None:
        """Stop reading."""
        for one in self._readers:
            one.close()

    async def _find(self, pointer: RawPointer) -> ConsumedRecord:
        key = (pointer.partition, pointer.offset)
        if key not in self._cache:
            async with self._turns[pointer.partition]:
                if key not in self._cache:  # whoever was before fetched it along the way
                    await self._fetch(pointer)
        self._cache.move_to_end(key)
        return self._cache[key]

    async def _fetch(self, pointer: RawPointer) -> None:
        consumer = await self._idle.get()
        fetching = asyncio.get_running_loop().run_in_executor(None, _fetch, consumer, pointer)
        # A thread cannot be cancelled: its reader is free when it ends, not when nobody waits for it any more.
        fetching.add_done_callback(lambda ended: self._free(consumer, ended))
        for record in reversed(await asyncio.shield(fetching)):
            self._keep(record)  # the one that was asked for last, so that it is not the first to go

    def _free(self, consumer: Consumer, ended: "asyncio.Future[list[ConsumedRecord]]") -> None:
        self._idle.put_nowait(consumer)
        if not ended.cancelled():
            ended.exception()  # where nobody waits any more, nobody need hear of it

    def _keep(self, record: ConsumedRecord) -> None:
        key = (record.partition, record.offset)
        if key not in self._cache:
            self._octets += record.size + RECORD_OVERHEAD
        self._cache[key] = record
        while self._octets > CACHE_OCTETS and len(self._cache) > 1:
            _, old = self._cache.popitem(last=False)
            self._octets -= old.size + RECORD_OVERHEAD


def _fetch(consumer: Consumer, pointer: RawPointer) -> list[ConsumedRecord]:
    """The record that was asked for, and those behind it that came with it."""
    try:
        consumer.assign([TopicPartition(pointer.topic, pointer.partition, pointer.offset)])
        try:
            return _read_on(consumer, pointer)
        finally:
            consumer.unassign()  # else it asks for what comes next, and the next fetch waits for that answer
    except KafkaException as error:
        raise Unavailable("Kafka", str(error)) from error


def _read_on(consumer: Consumer, pointer: RawPointer) -> list[ConsumedRecord]:
    first = consumer.poll(TIMEOUT)
    if first is None:
        raise Unavailable("Kafka", f"{pointer.topic}[{pointer.partition}]@{pointer.offset} was not read in time")
    problem = first.error()
    if problem is not None:
        if problem.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise InvalidEvent("raw_missing", "Kafka holds this message no more")
        raise Unavailable("Kafka", str(problem))
    if first.offset() != pointer.offset:
        raise InvalidEvent("raw_missing", f"asked for offset {pointer.offset}, found {first.offset()}")
    found = [consumed(first)]
    octets = found[0].size
    while octets < FETCH_OCTETS:
        more = [consumed(message) for message in consumer.consume(50, 0) if message.error() is None]
        if not more:
            break
        found += more
        octets += sum(record.size for record in more)
    return found
