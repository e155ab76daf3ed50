"""One subscription: read the status topics in a consumer group of its own, and call the subscriber for each change that it wants.

The backlog is the topic itself: an offset is committed after its event was taken or put aside, so nothing is lost while a subscriber is
away, for as long as the topics keep it, and no other subscription waits for this one. Events of one mail may arrive in another order.
"""

import asyncio
import dataclasses
import logging
import time
import uuid
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from contracts import clock, metrics, topics
from contracts.codec import HEADERS, decode, decode_envelope, encode_subscriber_call
from contracts.errors import InvalidEvent, Unavailable
from contracts.events import StatusChange
from contracts.records import ConsumedRecord, Place, Record
from contracts.settings import Settings
from contracts.stages import subscription_group
from contracts.subscriptions import CallOutcome, SubscriberCall, SubscriberHealth, SubscriberState
from runtime.consume import read_records
from runtime.end_process import end_process
from runtime.expose_metrics import counter, gauge, histogram
from runtime.publish import Publisher
from runtime.put_aside import put_aside
from sinks.dispatch.hold_partitions import PartitionHolder
from sinks.dispatch.own_partitions import Partitions
from sinks.subscriptions.call_subscriber import CALLS, Answer, Subscriber
from sinks.subscriptions.hold_events import Event, HeldEvents
from sinks.subscriptions.keep_health import Health
from sinks.subscriptions.share_states import SOURCE, SubscriberStates
from sinks.subscriptions.wants_change import wants_change

_log = logging.getLogger("mailscope.subscriptions")
STAGE = "sinks.subscriptions"
BATCH = 100  # records of one read
DRAIN = 3.0  # seconds that calls have to end when the process is told to stop
ONLY_FOR = "mailscope-subscription"  # header of a dead letter: replayed, it is for this subscription and no other


class ChangeSender:
    """Calls one subscriber until told to stop."""

    def __init__(
        self, name: str, settings: Settings, states: SubscriberStates, publisher: Publisher, state: SubscriberState
    ) -> None:
        self._name = name
        self._subscription = settings.subscriptions[name]
        self._delays = [delay.total_seconds() for delay in settings.delivery.retry]
        self._states, self._publisher, self._state = states, publisher, state
        self._subscriber = Subscriber(name, self._subscription)
        health, retry = state.health, self._subscription.paused_retry.total_seconds()
        self._health = Health(
            self._delays,
            retry,
            failing=health is not SubscriberHealth.ACTIVE,
            paused=health is SubscriberHealth.PAUSED,
        )
        self._held = HeldEvents()
        self._full = False
        self._partitions = Partitions()
        self._tasks: dict[asyncio.Task[None], Event | None] = {}
        self._holder = PartitionHolder(
            "subscriptions",
            subscription_group(name).name,
            settings,
            self._partitions,
            self._release,
            begin=self._begin,
            tell_lag=gauge(metrics.SUBSCRIPTION_LAG).labels(name).set,
        )
        self._show()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; calls under way then have a moment to end, and are made again where they do not."""
        self._holder.subscribe(list(subscription_group(self._name).topics))
        watch = asyncio.create_task(self._holder.watch())
        try:
            while not stop.is_set():
                patience = 0.02 if self._held.calling else 0.2
                for source in await asyncio.to_thread(read_records, self._holder.consumer, BATCH, patience):
                    self._take(source)
                self._hear_of_others()
                self._make_room()
                self._start()
                limit = 2 if self._full else 1  # once full, read on when half of it is gone
                self._full = self._held.is_full(limit)
                self._holder.set_pauses(lambda place, one: self._full or one.progress.far_ahead)
                self._holder.commit()
            await self._let_end(list(self._tasks), DRAIN)
            self._holder.commit(wait=True)
        finally:
            watch.cancel()
            await asyncio.to_thread(self._holder.close)
            await self._subscriber.close()

    # What comes in

    def _begin(self, consumer: Consumer, places: list[Place]) -> dict[Place, int]:
        """What was written since the subscription was first known: in its thread, while its partitions are assigned."""
        since = clock.to_ms(self._state.since)
        try:
            # Asked for first: what is written meanwhile stands at or after it.
            ends = {place: consumer.get_watermark_offsets(TopicPartition(*place), 10.0)[1] for place in places}
            found = consumer.offsets_for_times([TopicPartition(*place, since) for place in places], 10.0)
        except KafkaException as error:
            end_process(f"subscription {self._name} cannot learn where to begin", error)
        return {
            (part.topic, part.partition): part.offset if part.offset >= 0 else ends[part.topic, part.partition]
            for part in found
        }

    def _take(self, source: ConsumedRecord) -> None:
        place = (source.topic, source.partition)
        partition = self._partitions.owned.get(place)
        if partition is None:  # it went elsewhere between two records of one read
            return
        if partition.progress.is_done(source.offset):
            partition.progress.skip(source.offset)
            return
        missed = source.offset - partition.progress.read  # nothing is compacted here, so nothing else leaves a hole
        if missed > 0:
            counter(metrics.SUBSCRIPTION_MISSED).labels(self._name).inc(missed)
            _log.error("subscription %s has missed %d records before %s: they have expired", self._name, missed, source)
        partition.progress.start(source.offset)
        only_for = dict(source.headers).get(ONLY_FOR)
        try:
            identity = str(uuid.UUID(decode_envelope(source.value).id))
            change = decode(source.value, StatusChange)
        except (InvalidEvent, ValueError) as error:
            why = error if isinstance(error, InvalidEvent) else InvalidEvent("wrong_event_id", str(error))
            self._spawn(self._put_aside(source, why), None)
            return
        if wants_change(self._subscription, change) and only_for in (None, self._name.encode()):
            self._held.add(Event(identity, change, source))
        else:
            partition.progress.finish(source.offset)

    # Calls

    def _start(self) -> None:
        """Begin calls: as many as there is room for; of one that fails, when its time has come, one for an event that it did not take
        and one for an event that it was never given, so that it is known again by either."""
        now = time.monotonic()
        if self._health.failing:
            if now >= self._health.next_try and not self._held.calling:
                for event in (self._held.take_rested(), self._held.take_untried()):
                    if event is not None:
                        self._spawn(self._call(event), event)
            return
        while len(self._held.calling) < CALLS and (event := self._held.take(now)) is not None:
            self._spawn(self._call(event), event)

    async def _call(self, event: Event) -> None:
        others_taken = event.attempts > 0 and self._health.taken > event.taken_before
        event.attempts += 1
        event.taken_before, event.tried_at = self._health.taken, time.monotonic()
        with histogram(metrics.SUBSCRIPTION_CALL_SECONDS).time():
            answer = await self._subscriber.call(event.id, event.source.value or b"")
        if answer.outcome is CallOutcome.TAKEN:
            self._took()
            await self._end(event, answer)
            return
        if self._health.failed(answer.outcome, event.id, others_taken, time.monotonic()):
            event.tries += 1
            if event.tries > len(self._delays):
                await self._give_up(event, answer)
                return
            event.due = time.monotonic() + self._delays[event.tries - 1]
        self._fails(answer)
        await self._note(event, answer, self._health.next_try if self._health.failing else event.due)
        self._held.rest(event)

    async def _give_up(self, event: Event, answer: Answer) -> None:
        said = f"{answer.code} {answer.text}".strip() if answer.code else answer.text
        why = InvalidEvent("refused_by_subscriber", f"{self._name}: {event.tries} times, at last: {said}")
        headers = [*event.source.headers, (ONLY_FOR, self._name.encode())]
        source = dataclasses.replace(event.source, headers=headers)
        await self._publisher.publish_until_done(put_aside(STAGE, why, source), STAGE)
        await self._end(event, dataclasses.replace(answer, outcome=CallOutcome.PUT_ASIDE))

    async def _end(self, event: Event, answer: Answer) -> None:
        """It needs no more calls."""
        await self._note(event, answer, None)
        self._held.done(event)
        self._finish(event.source)

    async def _note(self, event: Event, answer: Answer, again_at: float | None) -> None:
        """Write the call down, before the offset of its event can be committed. `again_at` by the clock of `event.due`."""
        counter(metrics.SUBSCRIPTION_CALLS).labels(self._name, answer.outcome).inc()
        wait = None if again_at is None else timedelta(seconds=round(max(0.0, again_at - time.monotonic()), 3))
        call = SubscriberCall(
            subscription=self._name,
            event_id=event.id,
            mail_id=event.change.mail_id,
            status=event.change.status,
            started_at=answer.started_at,
            duration_ms=answer.duration_ms,
            attempt=max(event.attempts, 1),
            outcome=answer.outcome,
            code=answer.code,
            text=answer.text,
            next_attempt_at=None if wait is None else clock.now() + wait,
            health=self._state.health,
            failing_since=self._state.failing_since,
        )
        record = Record(topics.CALLS, self._name, encode_subscriber_call(call, SOURCE), HEADERS)
        await self._publisher.publish_until_done([record], STAGE)

    def _finish(self, source: ConsumedRecord) -> None:
        partition = self._partitions.owned.get((source.topic, source.partition))
        if partition is not None:
            partition.progress.finish(source.offset)

    def _make_room(self) -> None:
        """Events that are tried again must not hold up the others for hours: where so many stand behind that no more can be read, the one
        that was tried longest ago is put aside before its time. Not while the subscriber fails as a whole: then all wait."""
        if self._health.failing:
            return
        wanted = [
            self._held.longest_waiting(at) for at, one in self._partitions.owned.items() if one.progress.far_ahead
        ]
        if len(self._held.waiting) == len(self._held) and self._held.is_full():
            wanted.append(self._held.longest_waiting())
        for event in {one for one in wanted if one is not None}:
            self._held.waiting.discard(event)
            self._held.calling.add(event)
            why = Answer(CallOutcome.PUT_ASIDE, clock.now(), 0, 0, "others could not be read while it was tried again")
            self._spawn(self._give_up(event, why), event)

    # How the subscriber is doing

    def _took(self) -> None:
        was_failing = self._health.failing
        self._health.took()
        if was_failing or self._state.failing_since is not None:
            _log.info("subscription %s takes events again", self._name)
            self._tell(failing_since=None, paused_at=None, reason="")

    def _fails(self, answer: Answer) -> None:
        if not self._health.failing:
            return
        now = clock.now()
        since = self._state.failing_since or now
        gone = answer.outcome is CallOutcome.GONE
        said = f"it answered {answer.code} {answer.text}".strip() if answer.code else answer.text
        if not self._health.paused and (gone or now - since >= self._subscription.pause_after):
            self._health.pause(time.monotonic())
            retry = timedelta(seconds=round(self._subscription.paused_retry.total_seconds()))
            _log.error("subscription %s is paused and tried every %s: %s", self._name, retry, said)
            self._tell(failing_since=since, paused_at=now, reason=said)
        elif self._state.failing_since is None:
            _log.warning("subscription %s fails: %s", self._name, said)
            self._tell(failing_since=since, reason=said)

    def _hear_of_others(self) -> None:
        """What another process, which has other partitions, says of the subscriber."""
        known = self._states.get(self._name)
        if known is None or known.changed_at <= self._state.changed_at:
            return
        self._state = known
        if self._health.failing and known.health is SubscriberHealth.ACTIVE:
            self._health.try_now()
        self._show()

    def _tell(self, **changes: Any) -> None:
        self._state = msgspec.structs.replace(self._state, changed_at=clock.now(), **changes)
        self._show()
        self._spawn(self._put(self._state), None)

    async def _put(self, state: SubscriberState) -> None:
        while state is self._state:  # until it is told, or something newer is
            try:
                await self._states.put(state)
                return
            except Unavailable as error:
                _log.warning("how subscription %s is doing is told later: %s", self._name, error)
                await asyncio.sleep(1.0)

    def _show(self) -> None:
        health = self._state.health
        gauge(metrics.SUBSCRIPTION_UP).labels(self._name).set(health is SubscriberHealth.ACTIVE)
        gauge(metrics.SUBSCRIPTION_PAUSED).labels(self._name).set(health is SubscriberHealth.PAUSED)

    # Tasks

    def _spawn(self, work: Coroutine[Any, Any, None], event: Event | None) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = event
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        event = self._tasks.pop(task)
        if task.cancelled():
            if event is not None:
                self._held.done(event)
        elif (error := task.exception()) is not None:  # what cannot even be put aside stops the sink
            end_process(f"a bug in {STAGE}", error)

    async def _put_aside(self, source: ConsumedRecord, why: InvalidEvent) -> None:
        await self._publisher.publish_until_done(put_aside(STAGE, why, source), STAGE)
        self._finish(source)

    async def _release(self, places: set[Place], at_most: float) -> None:
        """These partitions go elsewhere: whoever owns them next calls for what was not taken."""
        self._held.give_back(places)
        tasks = [task for task, event in self._tasks.items() if event is not None and event.place in places]
        await self._let_end(tasks, at_most)
        self._held.give_back(places)  # what was not taken in these calls

    async def _let_end(self, tasks: list[asyncio.Task[None]], at_most: float) -> None:
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=at_most)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
