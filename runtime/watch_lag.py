"""How far a consumer group is behind, and a watchdog: a worker that stands still while records wait is started anew (for Faust, issues
523, 532 and 629; for any consumer, a pause that nobody lifts)."""

import asyncio
import time
from collections.abc import Callable

from confluent_kafka import KafkaException, TopicPartition

from runtime.connect_kafka import Properties, observer, reader
from runtime.consume import read_records
from runtime.end_process import end_process

INTERVAL = 2.0  # seconds between two looks
STUCK = 60.0  # seconds without progress, with records waiting and none in work


class Lag:
    """How far a group is behind the topics that it reads, in records."""

    def __init__(self, kafka: Properties, group: str, topics: list[str]) -> None:
        self._topics = topics
        self._consumer = observer(kafka, group)

    def measure(self) -> int | None:
        """End offsets minus committed offsets, summed over partitions; None when the brokers do not answer. Blocks."""
        try:
            behind = 0
            for topic in self._topics:
                metadata = self._consumer.list_topics(topic, 5.0).topics[topic]
                partitions = [TopicPartition(topic, number) for number in metadata.partitions]
                for committed in self._consumer.committed(partitions, 5.0):
                    low, high = self._consumer.get_watermark_offsets(committed, 5.0)
                    behind += high - max(committed.offset, low)
            return behind
        except KafkaException:
            return None

    def close(self) -> None:
        """Stop asking."""
        self._consumer.close()


class OldestWaiting:
    """For how long the oldest record that a group has not committed has been waiting, in seconds."""

    def __init__(self, kafka: Properties, group: str, topic: str) -> None:
        self._topic = topic
        self._observer = observer(kafka, group)
        self._reader = reader(kafka, "oldest", fetch_wait_max_ms=50, queued_max_messages_kbytes=1024)

    def measure(self) -> float | None:
        """0 when none waits; None when the brokers do not answer. Blocks."""
        oldest = 0.0
        try:
            metadata = self._observer.list_topics(self._topic, 5.0).topics[self._topic]
            partitions = [TopicPartition(self._topic, number) for number in metadata.partitions]
            for committed in self._observer.committed(partitions, 5.0):
                low, high = self._observer.get_watermark_offsets(committed, 5.0)
                begin = max(committed.offset, low)
                if begin >= high:
                    continue
                self._reader.assign([TopicPartition(self._topic, committed.partition, begin)])
                for record in read_records(self._reader, 1, 5.0):
                    oldest = max(oldest, time.time() - record.timestamp_ms / 1000)
        except KafkaException:
            return None
        return oldest

    def close(self) -> None:
        """Stop asking."""
        self._observer.close()
        self._reader.close()


async def watch_lag(
    name: str,
    lag: Lag,
    progress: Callable[[], int],
    busy: Callable[[], bool],
    tell: Callable[[int], object],
    stuck: float = STUCK,
) -> None:
    """Look until cancelled. `progress` changes whenever the worker gets on, `busy` says whether anything is in work, `tell` hears the
    lag. Ends the process when neither has been so for `stuck` seconds while records wait."""
    still_since, seen = time.monotonic(), -1
    while True:
        await asyncio.sleep(INTERVAL)
        waiting = await asyncio.to_thread(lag.measure)
        if waiting is not None:
            tell(waiting)
        if not waiting or progress() != seen or busy():
            still_since, seen = time.monotonic(), progress()
        elif time.monotonic() - still_since > stuck:
            end_process(f"{name} stands still with {waiting} records waiting")
