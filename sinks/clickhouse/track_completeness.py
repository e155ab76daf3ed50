"""Up to when the log is known to be complete.

A mark is set at a moment: it is reached when the processors have passed what `mail.raw` and `mail.attempts` held then, and after
that the sink has passed what `mail.events` held. Every mail whose sender heard 250 before the mark is then in the log.
"""

import asyncio
import logging
import time

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException, TopicPartition

from contracts import metrics, topics
from contracts.errors import Unavailable
from contracts.settings import Settings
from contracts.stages import group_of, readers_before
from runtime.connect_kafka import observer
from runtime.consume import partitions_of
from runtime.expose_metrics import gauge
from runtime.open_store import Store

_log = logging.getLogger("mailscope.clickhouse")
INTERVAL = 0.5  # seconds
GROUP = group_of("clickhouse", topics.EVENTS)
Offsets = dict[tuple[str, int], int]


async def track_completeness(settings: Settings, store: Store, stop: asyncio.Event) -> None:
    """Write the table `progress` until told to stop."""
    tracker = Completeness(settings)
    while not stop.is_set():
        try:
            reached = await asyncio.to_thread(tracker.advance)
            if reached is not None:
                gauge(metrics.STORE_COMPLETE_UNTIL).set(reached)
                await asyncio.to_thread(_write, store, reached)
        except (KafkaException, ClickHouseError, Unavailable, OSError) as error:
            _log.debug("completeness is not known at present: %s", error)
        try:
            await asyncio.wait_for(stop.wait(), INTERVAL)
        except TimeoutError:
            continue
    await asyncio.to_thread(tracker.close)


def _write(store: Store, moment: float) -> None:
    ticks = int(moment * 1000)
    store.client.insert(
        "progress", [["log", ticks, int(time.time() * 1000)]], column_names=["name", "complete_until", "written_at"]
    )


class Completeness:
    """One mark at a time."""

    def __init__(self, settings: Settings) -> None:
        self._before = list(readers_before(topics.EVENTS))
        groups = {group for group, _ in self._before} | {GROUP}
        self._groups = {group: observer(settings.kafka_client, group) for group in groups}
        self._moment = 0.0
        self._sources: dict[str, Offsets] = {}
        self._events: Offsets | None = None

    def advance(self) -> float | None:
        """The moment of a mark that has just been reached (Unix seconds), or None."""
        if not self._moment:
            moment = time.time()
            self._sources = {group: self._ends(topic) for group, topic in self._before}
            self._moment = moment  # not before: without an answer of the brokers there is no mark
        if self._events is None:
            if not all(self._passed(group, ends) for group, ends in self._sources.items()):
                return None
            self._events = self._ends(topics.EVENTS)
        if not self._passed(GROUP, self._events):
            return None
        reached, self._moment, self._events = self._moment, 0.0, None
        return reached

    def close(self) -> None:
        """Stop asking."""
        for consumer in self._groups.values():
            consumer.close()

    def _ends(self, topic: str) -> Offsets:
        consumer = self._groups[GROUP]
        ends = {}
        for number in partitions_of(consumer, topic, 5.0):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), 5.0)
            if high > low:  # nothing to pass in an empty partition
                ends[(topic, number)] = high
        return ends

    def _passed(self, group: str, ends: Offsets) -> bool:
        if not ends:
            return True
        asked = [TopicPartition(topic, number) for topic, number in ends]
        return all(
            committed.offset >= ends[(committed.topic, committed.partition)]
            for committed in self._groups[group].committed(asked, 5.0)
        )
