"""Being a member of a consumer group: which partitions are ours, what is committed of them, and giving them back in order.

The client calls `_on_...` in the thread that reads, while the event loop waits for it; everything else runs in the loop.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from contracts import metrics
from contracts.records import Place
from contracts.settings import Settings
from runtime.connect_kafka import group_member, leave_group
from runtime.end_process import end_process
from runtime.expose_metrics import gauge
from runtime.run_stage import instance_name
from runtime.watch_lag import Reading, watch_positions
from sinks.dispatch.own_partitions import Partition, Partitions

_log = logging.getLogger("mailscope.sinks")
COMMIT_EVERY = 0.1  # seconds; what was done in the last of them is done again after a kill
# Seconds between tries of a commit that cannot be made later: while the broker that keeps the group's offsets is replaced by another one.
COMMIT_AGAIN = (0.2, 0.5, 1.0, 2.0, 4.0, 4.0, 0.0)
# Seconds that a rebalance waits for what cannot be taken back; all members stand still meanwhile. What takes longer may be done twice.
REVOKE_GRACE = 60.0

# A commit that fails so fails however often it is made: we are no member any more, or the client is being closed.
_FOR_GOOD = {
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError._DESTROY,
}

# Takes back what has not begun in these partitions, and waits up to so many seconds for what cannot be taken back.
Release = Callable[[set[Place], float], Coroutine[Any, Any, None]]
# Where partitions begin of which nothing is committed; those that it does not name begin with the oldest record.
Begin = Callable[[Consumer, list[Place]], dict[Place, int]]


class PartitionHolder:
    """One member of a group. At a rebalance all partitions are given back and shared out anew: with cooperative rebalances (KIP-429) a
    static member that is killed between the two steps comes back to the first one's result, in which what was to move is nobody's, and
    no second step ever follows."""

    def __init__(
        self,
        name: str,
        group: str,
        settings: Settings,
        partitions: Partitions,
        release: Release,
        *,
        begin: Begin = lambda consumer, places: {},
        tell_lag: Callable[[int], object] | None = None,
    ) -> None:
        self._name = name
        self._begin = begin
        self._tell_lag = tell_lag or gauge(metrics.SINKS_LAG).labels(name).set
        self._partitions = partitions
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._committed_at = 0.0
        self._rebalancing = False
        self._closing = False
        self._kafka = settings.kafka_client
        self.consumer = group_member(
            settings.kafka_client,
            group,
            instance_name(name),
            partition_assignment_strategy="range",
            topic_metadata_refresh_interval_ms=30_000,
            # Little is read ahead: it waits in one line, in which ten thousand commands for one destination would stand before others'.
            queued_max_messages_kbytes=1_024,
            fetch_message_max_bytes=64 << 10,
            on_commit=self._on_commit,
        )

    def subscribe(self, patterns: list[str]) -> None:
        """Join the group for all topics whose names match."""
        self.consumer.subscribe(patterns, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)

    def close(self) -> None:
        """Give back what is ours, and leave. Called while the loop runs, not in it."""
        self._closing = True
        leave_group(self.consumer)

    def set_pauses(self, wanted: Callable[[Place, Partition], bool]) -> None:
        """Tell the client which partitions to read on, and which not for the moment."""
        pause: list[TopicPartition] = []
        resume: list[TopicPartition] = []
        for place, partition in self._partitions.owned.items():
            want = wanted(place, partition)
            if want != partition.paused:
                partition.paused = want
                (pause if want else resume).append(TopicPartition(*place))
        try:
            if pause:
                self.consumer.pause(pause)
            if resume:
                self.consumer.resume(resume)
        except KafkaException as error:  # one of them has just gone elsewhere
            _log.debug("%s could not pause: %s", self._name, error)

    def commit(self, wait: bool = False) -> None:
        """Commit what has changed, every COMMIT_EVERY seconds; or all of it now, and wait for the brokers."""
        now = time.monotonic()
        if wait:
            self._doubt(set(self._partitions.owned))
        if wait or now - self._committed_at >= COMMIT_EVERY:
            self._committed_at = now
            self._commit(self._partitions.commits(), wait=wait)

    def commit_soon(self) -> None:
        """The next `commit` does not wait until COMMIT_EVERY is over."""
        self._committed_at = -COMMIT_EVERY

    async def watch(self) -> None:
        """Tell how far we are behind, and begin anew when the client stands still (runtime/watch_lag.py)."""
        await watch_positions(self._name, self._kafka, self._readings, self._tell_lag)

    async def _readings(self) -> dict[Place, Reading]:
        resting = self._rebalancing  # it waits for what cannot be taken back
        return {
            place: Reading(one.progress.read, resting or one.paused) for place, one in self._partitions.owned.items()
        }

    def _commit(self, states: list[tuple[Place, int, str]], *, wait: bool) -> None:
        offsets = [TopicPartition(*place, offset, metadata) for place, offset, metadata in states]
        if not offsets:
            return
        for pause in COMMIT_AGAIN if wait else (0.0,):
            try:
                self.consumer.commit(offsets=offsets, asynchronous=not wait)
                return
            except KafkaException as error:
                for place, _, _ in states:
                    self._partitions.write_again(place)
                _log.warning("%s could not commit, and will do it again: %s", self._name, error)
                if error.args[0].code() in _FOR_GOOD:
                    return
            time.sleep(pause)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for part in partitions:
            if error is not None or part.error is not None:
                self._partitions.write_again((part.topic, part.partition))

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if self._closing:  # a client that is being closed gets no answer any more to what it asks
            consumer.unassign()
            return
        found = self._ask_committed(consumer, partitions)
        new = [(part.topic, part.partition) for part in found if part.offset < 0]
        begins = self._begin(consumer, new) if new else {}
        for part in found:
            place = (part.topic, part.partition)
            self._partitions.assign(place, begins.get(place, part.offset), part.metadata or "")
        for part in partitions:
            part.offset = begins.get((part.topic, part.partition), part.offset)
        consumer.assign(partitions)
        consumer.resume(partitions)  # the client keeps a pause across assignments; ours begin anew
        self._rebalancing = False
        _log.info("%s works on %d partitions", self._name, len(partitions))

    def _ask_committed(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        for pause in (0.2, 1.0, 5.0):
            try:
                found: list[TopicPartition] = consumer.committed(partitions, 20.0)
                return found
            except KafkaException as error:
                _log.warning("%s asks again what is done: %s", self._name, error)
                time.sleep(pause)
        end_process(f"{self._name} cannot learn what is done in its partitions")

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._rebalancing = True
        _log.info("%s gives %d partitions back", self._name, len(partitions))
        places = {(part.topic, part.partition) for part in partitions}
        states = asyncio.run_coroutine_threadsafe(self._let_go(places, REVOKE_GRACE), self._loop).result()
        self._commit(states, wait=True)
        self._partitions.release(places)
        consumer.unassign()

    async def _let_go(self, places: set[Place], at_most: float) -> list[tuple[Place, int, str]]:
        """Release them, and what is to be committed of them: read in the loop, where they change."""
        await self._release(places, at_most)
        if not self._closing:  # then all of it is committed, and the client takes nothing more
            self._doubt(places)
        return self._partitions.commits(places)

    def _doubt(self, places: set[Place]) -> None:
        """What was committed without waiting is on its way, and may fail after what is committed now: it is made part of it."""
        for place in places:
            self._partitions.write_again(place)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Somebody else may own them already: nothing that is not under way is begun here."""
        places = {(part.topic, part.partition) for part in partitions}
        asyncio.run_coroutine_threadsafe(self._release(places, 0.0), self._loop).result()
        self._partitions.release(places)
        consumer.unassign()
        _log.warning("%s lost %d partitions", self._name, len(places))
