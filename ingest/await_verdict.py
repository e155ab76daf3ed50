"""Waiting for the processors' verdict on a message, so that who hands it over hears it in the answer.

A door names the partition of `mail.verdicts` that it reads. After several time-outs in a row it stops waiting, and starts
again when verdicts come in time.
"""

import asyncio
import contextlib
import logging
import random
import re
import time

from confluent_kafka import KafkaException, TopicPartition

from contracts import metrics, topics
from contracts.codec import decode
from contracts.errors import InvalidEvent, Unavailable
from contracts.events import Verdict
from contracts.ids import received_ms
from contracts.records import ConsumedRecord
from runtime.connect_kafka import reader
from runtime.consume import read_records
from runtime.expose_metrics import counter, gauge, histogram
from runtime.start_thread import start_thread

_log = logging.getLogger("mailscope.ingest.verdict")


class VerdictWaiter:
    """The messages whose verdict is awaited. `partition` is the one that is read, None until one is; `timeout` in seconds; `misses` in a
    row stop the waiting."""

    def __init__(self, partition: int | None, timeout: float, misses: int) -> None:
        self.partition = partition
        self.timeout = timeout
        self._allowed_misses = misses
        self._missed = 0
        self._leaving = False
        self._awaited: dict[str, asyncio.Future[Verdict | None]] = {}

    @property
    def waiting(self) -> bool:
        """Whether senders wait at present."""
        return (
            self.partition is not None
            and self.timeout > 0
            and self._missed < self._allowed_misses
            and not self._leaving
        )

    def expect(self, mail_id: str) -> "asyncio.Future[Verdict | None]":
        """Announce a message before it is published; its verdict may come before the call to `verdict_on`."""
        future: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
        self._awaited[mail_id] = future
        return future

    def forget(self, mail_id: str) -> None:
        """The message was not published after all."""
        self._awaited.pop(mail_id, None)

    async def verdict_on(self, mail_id: str, expected: "asyncio.Future[Verdict | None]") -> Verdict | None:
        """What the processors say; None when it did not come in time, or the process leaves."""
        began = time.monotonic()
        try:
            verdict = await asyncio.wait_for(expected, self.timeout)
        except TimeoutError:
            self._missed += 1
            counter(metrics.VERDICT_TIMEOUTS).inc()
            if self._missed == self._allowed_misses:
                _log.warning(
                    "no verdict within %.1f s, %d times in a row: answering without", self.timeout, self._missed
                )
                gauge(metrics.VERDICT_WAITING).set(0)
            return None
        finally:
            self._awaited.pop(mail_id, None)
        if verdict is not None:
            histogram(metrics.VERDICT_SECONDS).observe(time.monotonic() - began)
        return verdict

    def settle(self, verdict: Verdict) -> None:
        """A verdict has come."""
        age = time.time() - received_ms(verdict.mail_id) / 1000
        if age < self.timeout / 2:
            if not self.waiting and not self._leaving:
                _log.info("verdicts flow again: senders wait for them")
                gauge(metrics.VERDICT_WAITING).set(1)
            self._missed = 0
        future = self._awaited.get(verdict.mail_id)
        if future is not None and not future.done():
            future.set_result(verdict)

    def leave(self, grace: float) -> None:
        """The process stops: nobody waits from now on, and who waits already does so for `grace` seconds at most."""
        self._leaving = True
        asyncio.get_running_loop().call_later(grace, self._let_go)

    def _let_go(self) -> None:
        for future in self._awaited.values():
            if not future.done():
                future.set_result(None)


class VerdictReader:
    """Reads the waiter's partition of `mail.verdicts` from its end on, in a thread of its own."""

    def __init__(self, kafka: dict[str, str], waiter: VerdictWaiter, instance: str | None) -> None:
        self._waiter = waiter
        self._instance = instance
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._consumer = reader(kafka, "verdicts", auto_offset_reset="latest", fetch_wait_max_ms=100)

    async def start(self) -> None:
        """Stand at the end of the partition before the first message is published. Unavailable without brokers."""
        where = await asyncio.to_thread(self._find_end)
        self._consumer.assign([where])
        self._waiter.partition = where.partition
        start_thread("verdicts", self._read)
        gauge(metrics.VERDICT_WAITING).set(self._waiter.waiting)

    def _find_end(self) -> TopicPartition:
        try:
            found = self._consumer.list_topics(topics.VERDICTS, 30.0).topics[topics.VERDICTS]
            if found.error is not None:
                raise Unavailable("Kafka", f"topic {topics.VERDICTS} is missing: run `mailscope topics apply`")
            where = TopicPartition(topics.VERDICTS, own_partition(self._instance, len(found.partitions)))
            _, where.offset = self._consumer.get_watermark_offsets(where, 30.0)
        except KafkaException as error:
            raise Unavailable("Kafka", str(error)) from error
        return where

    def close(self) -> None:
        """Stop reading."""
        self._closing = True

    def _read(self) -> None:
        while not self._closing:
            records = read_records(self._consumer, 500, 0.2)
            if records:
                with contextlib.suppress(RuntimeError):  # its loop has ended
                    self._loop.call_soon_threadsafe(self._settle, records)
        self._consumer.close()

    def _settle(self, records: list[ConsumedRecord]) -> None:
        for record in records:
            try:
                self._waiter.settle(decode(record.value, Verdict))
            except (InvalidEvent, ValueError) as error:
                _log.error("ignored a verdict that cannot be read: %s", error)


def own_partition(instance: str | None, partitions: int) -> int:
    """The partition of `mail.verdicts` that a process reads. Those that share no name are spread by their trailing numbers, which are
    those of their replicas; nameless ones by chance."""
    if not instance:
        return random.randrange(partitions)
    number = re.search(r"(\d+)$", instance)
    return (int(number[1]) if number else sum(instance.encode())) % partitions
