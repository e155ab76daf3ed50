"""Reading `mail.dispatch` and its retry topics: commands wait until they are due, then in the lane of their destination, and are done
many at a time.

All state lives in the event loop. Reading, and what the client calls while it reads (a rebalance), happens in one thread, which the
loop waits for (hold_partitions.py); between two reads the loop pauses, resumes and commits. An offset is committed after what its
command did has been reported and acknowledged (track_offsets.py). When a partition goes elsewhere, what has not begun is given back,
and what cannot be taken back any more ends and is committed before the new owner begins.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from contracts import clock, metrics, topics
from contracts.codec import decode
from contracts.errors import InvalidEvent
from contracts.events import Dispatch
from contracts.records import ConsumedRecord, Place, Record
from contracts.settings import Settings
from runtime.consume import read_records
from runtime.end_process import end_process
from runtime.expose_metrics import counter, gauge
from runtime.publish import Publisher
from runtime.put_aside import put_aside
from sinks.dispatch.due_times import DueTimes
from sinks.dispatch.hold_partitions import PartitionHolder
from sinks.dispatch.job import GiveUp, Job, NotNow, Work
from sinks.dispatch.know_repetitions import Repetitions
from sinks.dispatch.lanes import NO_LIMITS, Lanes, Limits, Park
from sinks.dispatch.own_partitions import Partitions
from sinks.dispatch.park import park, rest_after

_log = logging.getLogger("mailscope.sinks")
BATCH = 200  # records of one read
MOST_JOBS = 10_000  # in memory, in work or waiting
MOST_OCTETS = 32 << 20  # of their records
EXPIRED = "(expired)"  # the lane of commands whose time is over
REPETITION_MS = 1000  # until a command is looked at again that is in work from another partition


class CommandConsumer:
    """Runs `work` for every command that `wants` picks, at most `slots` at a time and `per_lane` of one lane (`lane_of`). A lane is
    left alone after `tolerated` jobs in a row that nobody answered, and one more."""

    def __init__(
        self,
        name: str,
        group: str,
        settings: Settings,
        publisher: Publisher,
        wants: Callable[[Dispatch], bool],
        lane_of: Callable[[Job], str],
        work: Work,
        give_up: GiveUp,
        *,
        slots: int,
        per_lane: int,
        tolerated: int = 0,
        limits_of: Callable[[str], Limits] = lambda name: NO_LIMITS,
    ) -> None:
        self._name = name
        self._stage = f"sinks.{name}"
        self._delays, self._names = settings.delivery.retry, settings.delivery.retry_names
        self._publisher = publisher
        self._wants = wants
        self._lane_of = lane_of
        self._work = work
        self._give_up = give_up
        self._loop = asyncio.get_running_loop()
        self._partitions = Partitions()
        self._due = DueTimes()
        self._known = Repetitions()
        self._lanes = Lanes(slots, per_lane, self._rest, self._start, tolerated, limits_of=limits_of)
        self._tasks: set[asyncio.Task[None]] = set()
        self._octets = 0
        self._full = False
        self._stop, self._drain = asyncio.Event(), 0.0
        self._holder = PartitionHolder(name, group, settings, self._partitions, self._release)

    async def run(self, stop: asyncio.Event, drain: float = 3.0) -> None:
        """Work until told to stop, then let what cannot be taken back end for up to `drain` seconds."""
        self._stop, self._drain = stop, drain
        consumer = self._holder.consumer
        # By pattern: commands that wait in the topic of a delay that is configured no more are not forgotten.
        self._holder.subscribe([f"^{topics.DISPATCH}$", f"^{topics.DISPATCH}[.]retry[.].+$"])
        watch = asyncio.create_task(self._holder.watch())
        try:
            while not stop.is_set():
                for source in await asyncio.to_thread(read_records, consumer, BATCH, self._patience()):
                    self._take(source)
                self._offer_again()
                self._lanes.start_due()
                self._set_pauses()
                self._holder.commit()
            await self._let_end(self._known.jobs, drain)
            for task in self._tasks:
                task.cancel()  # not committed: done again after the restart
            self._holder.commit(wait=True)
        finally:
            watch.cancel()
            await asyncio.to_thread(self._holder.close)

    def _rest(self, failures: int) -> float:
        return rest_after(failures, self._delays)

    def _patience(self) -> float:
        """Seconds to wait for a record: short where something else may be waiting for the loop."""
        due = self._due.next_due()
        until_due = 1.0 if due is None else max(0.0, due / 1000 - time.time())
        busy = self._lanes.active or any(one.stalled for one in self._partitions.owned.values())
        return min(until_due, 0.02 if busy else 0.1)

    # What comes in

    def _take(self, source: ConsumedRecord) -> None:
        place, offset = (source.topic, source.partition), source.offset
        partition = self._partitions.owned.get(place)
        if partition is None:  # it went elsewhere between two records of one read
            return
        progress = partition.progress
        if progress.is_done(offset):
            progress.skip(offset)
            return
        progress.start(offset)
        try:
            command = decode(source.value, Dispatch)
        except InvalidEvent as why:
            self._spawn(self._put_aside(source, why))
            return
        if not self._wants(command):
            progress.finish(offset)
            return
        job = Job(command, source, offsets=[(place, offset)])
        job.lane = self._lane_of(job)
        same = self._known.in_work(job.of)
        if same is not None and same.step == job.step and same.place == place and not same.taken_back:
            same.offsets.append((place, offset))
        else:
            self._octets += source.size
            self._wait_or_offer(job)

    def _wait_or_offer(self, job: Job) -> None:
        same = self._known.in_work(job.of)
        # A later step that was read, and is not done, says that this one is over as well.
        if self._known.was_done(job) if same is None else same.step > job.step:
            self._forget(job)
            return
        # The same in another partition, which may go elsewhere before this one; or an earlier step, which may be the last one.
        if same is not None and same is not job:
            self._due.hold(job, int(time.time() * 1000) + REPETITION_MS)
            return
        self._known.begin(job)
        if (
            clock.now() >= job.command.expires_at
        ):  # nobody is asked any more: its destination, which may rest, has no part in it
            job.lane = EXPIRED
        due = clock.to_ms(job.command.not_before) if job.command.not_before is not None else 0
        if due > time.time() * 1000:
            self._due.hold(job, due)
        elif not self._offer(job):
            partition = self._partitions.owned[job.place]
            if partition.stalled is None:
                partition.stalled = job
            else:  # more of what was read together with it
                self._due.hold(job, int(time.time() * 1000) + 100)

    def _offer(self, job: Job) -> bool:
        answer = self._lanes.offer(job)
        if isinstance(answer, Park):
            self._start_to_park(job, answer)
            return True
        return answer

    def _offer_again(self) -> None:
        for partition in self._partitions.owned.values():
            if partition.stalled is not None and self._offer(partition.stalled):
                partition.stalled = None
        for job in self._due.take_due(int(time.time() * 1000)):
            self._wait_or_offer(job)

    def _set_pauses(self) -> None:
        """Read on only what there is room for."""
        jobs = self._lanes.active + self._lanes.waiting + len(self._due)
        limit = 2 if self._full else 1  # once full, read on when half of it is gone
        self._full = jobs * limit >= MOST_JOBS or self._octets * limit >= MOST_OCTETS
        self._holder.set_pauses(
            lambda place, one: self._full or one.stalled is not None or self._due.full(place) or one.progress.far_ahead
        )

    # Work

    def _start(self, job: Job) -> None:
        job.task = self._spawn(self._run(job))
        job.task.add_done_callback(lambda task: self._taken_back(job) if task.cancelled() else None)
        gauge(metrics.IN_FLIGHT).labels(self._name).set(self._lanes.active)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:  # what cannot even be put aside stops the sink
            end_process(f"a bug in {self._stage}", task.exception())

    async def _run(self, job: Job) -> None:
        answered, why, aside, too_fast = True, "", False, False
        try:
            done = await self._work(job)
            records, answered, why, too_fast = done.records, done.answered, done.why, done.too_fast
        except NotNow as later:
            job.begin()
            self._lanes.abandon(job)
            await self._park(job, Park(later.seconds, later.why))
            return
        except Exception as error:
            # Work alone is wrapped: what it did is told as it was, however often its report has to be published.
            records = put_aside(self._stage, error, job.source, lambda _, reason: self._give_up(job.command, reason))
            aside = True
        job.begin()  # what was done has to be told
        given = self._lanes.finish(job, answered, why, too_fast=too_fast)
        for waiting in given:
            rest = self._lanes.rest_of(waiting.lane)
            self._start_to_park(waiting, rest or Park(1.0, why))
        aside |= await self._publish_about(job, records)
        self._finish(job, aside=aside, more=any(map(_is_command, records)))

    async def _publish_about(self, job: Job, records: list[Record]) -> bool:
        """Publish what came of a job. What no broker takes is put aside (True): to try again would not make it smaller."""
        try:
            await self._publish(records)
            return False
        except InvalidEvent as why:
            put = put_aside(self._stage, why, job.source, lambda _, reason: self._give_up(job.command, reason))
            try:
                await self._publish(put)
            except InvalidEvent as again:  # not even that it failed can be told: it is in the dead letters
                _log.error("%s: %s", job.source, again)
                await self._publish(put_aside(self._stage, why, job.source))
            return True

    def _taken_back(self, job: Job) -> None:
        """Its task was cancelled, perhaps before its first step: only the end of the task sees both."""
        if job.taken_back:
            self._lanes.abandon(job)
            self._drop(job)
        elif not self._stop.is_set():
            end_process(f"a bug in {self._stage}: the work on {job.source} was cancelled, and not by us")

    def _start_to_park(self, job: Job, parked: Park) -> None:
        job.begin()  # at once: a partition that goes now waits for it, else its new owner does what is parked as well
        job.task = self._spawn(self._park(job, parked))

    async def _park(self, job: Job, parked: Park) -> None:
        job.begin()
        counter(metrics.PARKED).labels(self._name).inc()
        again = park(job.command, job.key, parked.seconds, parked.why, clock.now(), self._delays, self._names)
        aside = await self._publish_about(job, again)
        self._finish(job, aside=aside, more=True)

    async def _put_aside(self, source: ConsumedRecord, why: InvalidEvent) -> None:
        await self._publish(put_aside(self._stage, why, source))
        place = (source.topic, source.partition)
        if place in self._partitions.owned:
            self._partitions.owned[place].progress.finish(source.offset)

    async def _publish(self, records: list[Record]) -> None:
        """What is told before what follows: a command whose next one is there is not done again, and tells nothing more."""
        await self._publisher.publish_until_done([one for one in records if not _is_command(one)], self._stage)
        await self._publisher.publish_until_done([one for one in records if _is_command(one)], self._stage)

    def _finish(self, job: Job, *, aside: bool, more: bool) -> None:
        if aside:  # replayed from the dead letters, it is no repetition
            self._known.forget(job)
        else:
            self._known.finish(job, more=more)
        if more:  # until this is committed, a restart would do both this command and the next one of its task
            self._holder.commit_soon()
        self._forget(job)

    def _forget(self, job: Job) -> None:
        """It needs no more work."""
        self._octets -= job.source.size
        self._partitions.finish(job)
        gauge(metrics.IN_FLIGHT).labels(self._name).set(self._lanes.active)

    def _drop(self, job: Job) -> None:
        """Given back: whoever reads it next does it."""
        self._known.forget(job)
        self._octets -= job.source.size

    # Giving back

    async def _let_end(self, jobs: Iterable[Job], at_most: float, places: set[Place] | None = None) -> None:
        """Take back what has not begun, and wait for what cannot be taken back; of these partitions, or of all."""

        def ours(job: Job) -> bool:
            return places is None or job.place in places

        waiting = self._lanes.give_back(ours)
        waiting += self._due.give_back(set(self._partitions.owned) if places is None else places)
        for place, partition in self._partitions.owned.items():
            if partition.stalled is not None and (places is None or place in places):
                waiting.append(partition.stalled)
                partition.stalled = None
        for job in waiting:
            self._drop(job)
        tasks = []
        for job in jobs:
            if ours(job) and job.task is not None and not job.task.done():
                job.take_back()
                tasks.append(job.task)
        if places is None:
            tasks += [task for task in self._tasks if task not in tasks]
        if tasks:
            await self._wait_for(tasks, at_most)

    async def _wait_for(self, tasks: list[asyncio.Task[None]], at_most: float) -> None:
        """Until all have ended, or for so many seconds; once this sink is told to stop, no longer than a stop may take."""
        ended = asyncio.ensure_future(asyncio.wait(tasks))
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({ended, stopped}, timeout=at_most, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done() and not ended.done():
                await asyncio.wait({ended}, timeout=min(at_most, self._drain))
        finally:
            ended.cancel()
            stopped.cancel()

    async def _release(self, places: set[Place], at_most: float) -> None:
        await self._let_end(self._known.jobs, at_most, places)


def _is_command(record: Record) -> bool:
    return record.topic.startswith(topics.DISPATCH)
