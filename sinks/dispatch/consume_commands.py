"""Reading `mail.dispatch` and its retry topics: commands go to work when they are due, many at a time.

An offset is committed after what its command did has been reported and acknowledged (track_offsets.py). A retry topic holds
commands of one delay, so the first one that is not due yet holds only those behind it, which are due later.
"""

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from contracts import metrics, topics
from contracts.clock import to_ms
from contracts.codec import decode
from contracts.errors import InvalidEvent, Unavailable
from contracts.events import Dispatch
from contracts.records import ConsumedRecord, Record
from contracts.settings import Settings
from runtime.connect_kafka import group_member
from runtime.consume import read_records
from runtime.expose_metrics import gauge
from runtime.publish import Publisher
from runtime.put_aside import put_aside
from runtime.run_stage import instance_name
from sinks.dispatch.track_offsets import Progress

_log = logging.getLogger("mailscope.sinks")
Work = Callable[[Dispatch], Awaitable[list[Record]]]  # does it once and gives what to publish; never to be repeated
GiveUp = Callable[[Dispatch, str], list[Record]]  # what to publish about a command that crashed, and why
Place = tuple[str, int]
REMEMBERED = 50_000  # commands


class CommandConsumer:
    """Runs `work` for every command that `wants` picks; at most `window` of them are in work at a time."""

    def __init__(
        self,
        name: str,
        group: str,
        settings: Settings,
        publisher: Publisher,
        wants: Callable[[Dispatch], bool],
        work: Work,
        give_up: GiveUp,
        window: int,
    ) -> None:
        self._name = name
        self._stage = f"sinks.{name}"
        self._publisher = publisher
        self._wants = wants
        self._work = work
        self._give_up = give_up
        self._window = window
        self._loop = asyncio.get_running_loop()
        self._progress: dict[Place, Progress] = {}
        self._held: dict[Place, tuple[int, ConsumedRecord, Dispatch]] = {}
        self._taken: OrderedDict[tuple[str, str, int], tuple[Place, int]] = OrderedDict()
        self._finished: deque[tuple[Place, int]] = deque()
        self._in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._full = False
        self._closing = False
        self._failure: BaseException | None = None
        self._consumer = group_member(
            settings.kafka_client,
            group,
            instance_name(name),
            partition_assignment_strategy="cooperative-sticky",
            topic_metadata_refresh_interval_ms=30_000,
            queued_max_messages_kbytes=16_384,
            on_commit=self._on_commit,
        )

    async def run(self, stop: asyncio.Event, drain: float = 3.0) -> None:
        """Work until told to stop, then let commands in work end for up to `drain` seconds."""
        # By pattern: commands that wait in the topic of a delay that is configured no more are not forgotten.
        self._consumer.subscribe(
            [f"^{topics.DISPATCH}$", f"^{topics.DISPATCH}[.]retry[.].+$"],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )
        thread = threading.Thread(target=self._read, name="commands", daemon=True)
        thread.start()
        while not stop.is_set() and self._failure is None:
            try:
                await asyncio.wait_for(stop.wait(), 0.5)
            except TimeoutError:
                continue
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain)
        for task in list(self._tasks):
            task.cancel()  # not committed: it is done again after the restart
        await asyncio.to_thread(thread.join, 5.0)
        if self._failure is not None:
            raise self._failure

    # In the consumer's thread

    def _read(self) -> None:
        try:
            while not self._closing or self._in_flight:
                self._hand_out_due()
                self._apply_pressure()
                for source in read_records(self._consumer, 1, 0.02 if self._in_flight else 0.1):
                    if not self._closing:
                        self._take(source)
                self._commit()
                if self._closing and not self._tasks:
                    break
            self._commit(wait=True)
        except BaseException as error:
            self._failure = error
        finally:
            self._consumer.close()

    def _take(self, source: ConsumedRecord) -> None:
        place, offset = (source.topic, source.partition), source.offset
        progress = self._progress.setdefault(place, Progress(offset))
        if progress.is_done(offset):
            progress.skip(offset)
            return
        progress.start(offset)
        try:
            command = decode(source.value, Dispatch)
        except InvalidEvent as why:
            self._start(source, None, why)
            return
        if not self._wants(command) or self._is_repetition(command, place, offset):
            self._finished.append((place, offset))
        elif command.not_before is not None and to_ms(command.not_before) > time.time() * 1000:
            self._held[place] = (to_ms(command.not_before), source, command)
            self._consumer.pause([TopicPartition(*place)])
        else:
            self._start(source, command, None)

    def _is_repetition(self, command: Dispatch, place: Place, offset: int) -> bool:
        """Whether this is another record of a command that we have taken: a processor that was killed writes its last commands
        again, and nobody shall get a mail twice for that. The first record is still there until it is done."""
        first = self._taken.setdefault(_identity(command), (place, offset))
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)
        return first != (place, offset)

    def _hand_out_due(self) -> None:
        now = time.time() * 1000
        for place, (due, source, command) in list(self._held.items()):
            if due <= now and not self._closing:
                del self._held[place]
                if not self._full:
                    self._consumer.resume([TopicPartition(*place)])
                self._start(source, command, None)

    def _start(self, source: ConsumedRecord, command: Dispatch | None, why: InvalidEvent | None) -> None:
        self._in_flight += 1
        gauge(metrics.IN_FLIGHT).labels(self._name).set(self._in_flight)
        self._loop.call_soon_threadsafe(self._spawn, source, command, why)

    def _apply_pressure(self) -> None:
        if not self._full and self._in_flight >= self._window:
            self._consumer.pause(self._consumer.assignment())
            self._full = True
        elif self._full and self._in_flight <= self._window // 2:
            free = [part for part in self._consumer.assignment() if (part.topic, part.partition) not in self._held]
            self._consumer.resume(free)
            self._full = False

    def _commit(self, wait: bool = False) -> None:
        while self._finished:
            place, offset = self._finished.popleft()
            if place in self._progress:
                self._progress[place].finish(offset)
        offsets = []
        for (topic, partition), progress in self._progress.items():
            state = progress.to_commit()
            if state is not None:
                offsets.append(TopicPartition(topic, partition, state[0], state[1]))
        if offsets:
            try:
                self._consumer.commit(offsets=offsets, asynchronous=not wait)
            except KafkaException as error:
                _log.warning("%s could not commit, and will repeat: %s", self._name, error)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for part in partitions:
            if (error is not None or part.error is not None) and (part.topic, part.partition) in self._progress:
                self._progress[(part.topic, part.partition)].write_again()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        committed = consumer.committed(partitions, 30.0)
        for part in committed:
            if part.offset >= 0:
                self._progress[(part.topic, part.partition)] = Progress(part.offset, part.metadata or "")
        consumer.incremental_assign(partitions)
        if self._full:
            consumer.pause(partitions)
        _log.info("%s works on %d partitions more", self._name, len(partitions))

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = {(part.topic, part.partition) for part in partitions}
        for place in places & set(self._held):
            del self._held[place]  # its new owner reads it again
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline and any(self._busy(place) for place in places):
            time.sleep(0.05)
        self._commit(wait=True)
        self._on_lost(consumer, partitions)
        consumer.incremental_unassign(partitions)

    def _busy(self, place: Place) -> bool:
        while self._finished:
            done, offset = self._finished.popleft()
            if done in self._progress:
                self._progress[done].finish(offset)
        return place in self._progress and self._progress[place].open > 0

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for part in partitions:
            self._progress.pop((part.topic, part.partition), None)
            self._held.pop((part.topic, part.partition), None)

    # In the event loop

    def _spawn(self, source: ConsumedRecord, command: Dispatch | None, why: InvalidEvent | None) -> None:
        task = self._loop.create_task(self._run_one(source, command, why))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_one(self, source: ConsumedRecord, command: Dispatch | None, why: InvalidEvent | None) -> None:
        try:
            if command is None:
                await self._publish(put_aside(self._stage, why or InvalidEvent("unknown"), source))
            else:
                await self._publish(await self._work_or_put_aside(source, command))
            self._finished.append(((source.topic, source.partition), source.offset))
        except Exception as error:
            self._failure = error  # what cannot even be put aside stops the sink
            raise
        finally:
            self._in_flight -= 1
            gauge(metrics.IN_FLIGHT).labels(self._name).set(self._in_flight)

    async def _work_or_put_aside(self, source: ConsumedRecord, command: Dispatch) -> list[Record]:
        """Work alone: what it did is told as it was, however often its report has to be published. A command that crashes must not
        hold up the others: it is put aside, and `failed` in the log."""
        try:
            return await self._work(command)
        except Exception as error:
            self._taken.pop(_identity(command), None)  # replayed from the dead letters, it is no repetition
            return put_aside(self._stage, error, source, lambda _, why: self._give_up(command, why))

    async def _publish(self, records: list[Record]) -> None:
        """What was done is done: its report is tried until it is acknowledged."""
        while True:
            try:
                await self._publisher.publish_all(records)
                return
            except Unavailable as error:
                _log.warning("%s waits with a report: %s", self._name, error)
                await asyncio.sleep(1.0)


def _identity(command: Dispatch) -> tuple[str, str, int]:
    return command.mail_id, command.recipient, command.attempt
