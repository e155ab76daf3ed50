"""The message of a command: read from where it stands in Kafka, or from the blob store."""

import asyncio
import logging
import threading
from collections import OrderedDict

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from contracts.errors import InvalidEvent, Unavailable
from contracts.events import RawPointer
from contracts.raw_message import Envelope, decode_headers
from runtime.blobs import BlobStore
from runtime.connect_kafka import reader

_log = logging.getLogger("mailscope.sinks")
CACHE_OCTETS = 64 << 20
TIMEOUT = 10.0  # seconds


class RawReader:
    """Random access to `mail.raw`. What the client fetched along the way is kept, since commands come in its order."""

    def __init__(self, kafka: dict[str, str], blobs: BlobStore, name: str) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[int, int], Message] = OrderedDict()
        self._octets = 0
        self._consumer = reader(
            kafka,
            f"raw-{name}",
            auto_offset_reset="error",
            fetch_wait_max_ms=50,
            queued_max_messages_kbytes=4096,
        )

    async def read(self, pointer: RawPointer) -> tuple[Envelope, bytes]:
        """Envelope and octets; waits while Kafka or the blob store is away. InvalidEvent when the message is gone."""
        pause = 0.2
        while True:
            try:
                message = await asyncio.to_thread(self._find, pointer)
                envelope = decode_headers(message.headers())
                return envelope, await self._blobs.message(envelope, message.value())
            except Unavailable as error:
                _log.warning("waiting for a message: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 10.0)

    def close(self) -> None:
        """Stop reading."""
        with self._lock:
            self._consumer.close()

    def _find(self, pointer: RawPointer) -> Message:
        key = (pointer.partition, pointer.offset)
        with self._lock:
            if key not in self._cache:
                self._fetch(pointer)
            self._cache.move_to_end(key)
            return self._cache[key]

    def _fetch(self, pointer: RawPointer) -> None:
        try:
            self._consumer.assign([TopicPartition(pointer.topic, pointer.partition, pointer.offset)])
            first = self._consumer.poll(TIMEOUT)
        except KafkaException as error:
            raise Unavailable("Kafka", str(error)) from error
        if first is None:
            raise Unavailable("Kafka", f"{pointer.topic}[{pointer.partition}]@{pointer.offset} was not read in time")
        problem = first.error()
        if problem is not None:
            if problem.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                raise InvalidEvent("raw_missing", "Kafka holds this message no more")
            raise Unavailable("Kafka", str(problem))
        if first.offset() != pointer.offset:
            raise InvalidEvent("raw_missing", f"asked for offset {pointer.offset}, found {first.offset()}")
        for message in [first, *self._consumer.consume(50, 0)]:
            if message.error() is None:
                self._keep(message)

    def _keep(self, message: Message) -> None:
        key = (int(message.partition() or 0), int(message.offset() or 0))
        if key not in self._cache:
            self._octets += len(message.value() or b"")
        self._cache[key] = message
        while self._octets > CACHE_OCTETS and len(self._cache) > 1:
            _, old = self._cache.popitem(last=False)
            self._octets -= len(old.value() or b"")
