"""Publishing to Kafka from asyncio: each call gives a future that is done when the brokers have acknowledged the record.

Idempotent, acks=all (KIP-98). One librdkafka producer and one poll thread; acknowledgements are handed to the event loop in
batches.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from contracts.errors import InvalidEvent, Unavailable
from contracts.records import Position, Record
from contracts.topics import DEADLETTER
from runtime.connect_kafka import MAX_RECORD, is_fatal, producer
from runtime.end_process import end_process
from runtime.start_thread import start_thread

_log = logging.getLogger("mailscope.publish")


class Publisher:
    """An idempotent producer for one event loop. `timeout` (seconds) bounds how long a record may wait for its ack."""

    def __init__(self, kafka: dict[str, str], *, timeout: float = 120.0, linger_ms: float = 1.0) -> None:
        self._producer = producer(kafka, timeout=timeout, linger_ms=linger_ms)
        self._loop = asyncio.get_running_loop()
        self._acks: deque[tuple[asyncio.Future[Any], KafkaError | None, Position | None]] = deque()
        self._scheduled = False
        self._closing = False
        self._thread = start_thread("kafka-producer", self._poll)

    def publish(self, record: Record) -> asyncio.Future[None]:
        """Queue one record; the future fails with Unavailable when the brokers do not acknowledge it in time. InvalidEvent when
        no broker would take it."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._produce(record, lambda error, _message: self._acknowledged(future, error, None))
        return future

    def publish_at(self, record: Record) -> asyncio.Future[Position]:
        """The same, and where the record stands: (partition, offset)."""
        future: asyncio.Future[Position] = self._loop.create_future()
        self._produce(
            record,
            lambda error, message: self._acknowledged(
                future, error, (message.partition(), message.offset()) if error is None else None
            ),
        )
        return future

    def _produce(self, record: Record, acknowledged: Callable[[KafkaError | None, Message], None]) -> None:
        if record.size > MAX_RECORD and record.topic != DEADLETTER:  # trying again would not make it smaller
            raise InvalidEvent("record_too_large", f"{record.topic}: {record.size} octets")
        try:
            self._producer.produce(
                record.topic,
                key=record.key.encode(),
                value=record.value,
                headers=record.headers,
                partition=-1 if record.partition is None else record.partition,
                on_delivery=acknowledged,
            )
        except BufferError as error:
            raise Unavailable("Kafka", "too many records wait for acknowledgement") from error
        except KafkaException as error:
            raise Unavailable("Kafka", str(error)) from error

    def _acknowledged(self, future: asyncio.Future[Any], error: KafkaError | None, place: Position | None) -> None:
        """Called from the poll thread."""
        self._acks.append((future, error, place))
        if not self._scheduled:
            self._scheduled = True
            with contextlib.suppress(RuntimeError):  # its loop has ended
                self._loop.call_soon_threadsafe(self._settle)

    async def publish_all(self, records: list[Record]) -> None:
        """Publish all and wait for every acknowledgement. Unavailable when one is missing."""
        futures = [self.publish(record) for record in records]
        for result in await asyncio.gather(*futures, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def publish_until_done(self, records: list[Record], who: str) -> None:
        """Publish all, and those that were not acknowledged again, until all are: for what has been done already and must be told.
        InvalidEvent when no broker would take one of them."""
        left = records
        while left:
            futures = [self._begin_to_publish(record) for record in left]
            results = await asyncio.gather(*futures, return_exceptions=True)
            failed = [
                (record, one) for record, one in zip(left, results, strict=True) if isinstance(one, BaseException)
            ]
            for _, error in failed:
                if not isinstance(error, Unavailable):
                    raise error
            left = [record for record, _ in failed]
            if left:
                _log.warning("%s waits to publish %d of %d records: %s", who, len(left), len(records), failed[0][1])
                await asyncio.sleep(1.0)

    def _begin_to_publish(self, record: Record) -> asyncio.Future[None]:
        """As `publish`; the future fails also with what that raises."""
        try:
            return self.publish(record)
        except (InvalidEvent, Unavailable) as error:
            failed: asyncio.Future[None] = self._loop.create_future()
            failed.set_exception(error)
            return failed

    async def warm_up(self, topic: str, at_most: float = 30.0) -> int:
        """Fetch the metadata of a topic, so that the first record does not wait for it. Its number of partitions."""
        try:
            metadata = await asyncio.to_thread(self._producer.list_topics, topic, at_most)
        except KafkaException as error:
            raise Unavailable("Kafka", str(error)) from error
        found = metadata.topics.get(topic)
        if found is None or found.error is not None:
            raise Unavailable("Kafka", f"topic {topic} is missing: run `mailscope topics apply`")
        return len(found.partitions)

    async def close(self, at_most: float = 5.0) -> None:
        """Wait for what is queued, then stop."""
        await asyncio.to_thread(self._producer.flush, at_most)
        self._closing = True
        await asyncio.to_thread(self._thread.join, 1.0)

    def _poll(self) -> None:
        while not self._closing:
            self._producer.poll(0.2)

    def _settle(self) -> None:
        self._scheduled = False
        while self._acks:
            future, error, place = self._acks.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(place)
            elif is_fatal(error):
                end_process(f"the Kafka producer broke: {error.str()}")  # an idempotent one cannot go on (KIP-360)
            else:
                future.set_exception(Unavailable("Kafka", error.str()))
