"""Lanes: what is for one destination waits in one line, so that no destination takes the others' turn.

A lane that nobody answers is left alone for a while, and one that is slow keeps only what it can serve soon: the rest is parked in a
retry topic without counting as an attempt. Times in seconds.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sinks.dispatch.job import Job

SOON = 10.0  # what a lane can serve within this time may wait in it
PATIENCE = 2.0  # for how long a lane that has served nothing yet may hold up the partition
WAITING_UNPROVEN, WAITING_PROVEN = 100, 1000  # jobs that wait in one lane
FIRST_LIMIT = 2  # jobs at a time of a destination that has not answered yet
MOST_LANES = 20_000


@dataclass(frozen=True)
class Park:
    """The job shall not wait here."""

    seconds: float
    why: str  # in words, for the log


@dataclass(frozen=True)
class Limits:
    """What holds for one lane instead of what holds for all."""

    at_a_time: int | None = None
    per_minute: int | None = None  # jobs that begin


NO_LIMITS = Limits()


@dataclass
class Lane:
    """One destination."""

    name: str
    limit: int
    most: int  # that `limit` may become
    every: float = 0.0  # between two that begin; 0: as they come
    next_start: float = 0.0
    waiting: deque[Job] = field(default_factory=deque)
    active: int = 0
    proven: bool = False  # it has answered since it last did not
    failures: int = 0  # in a row
    resting_until: float = 0.0
    why: str = ""
    busy_since: float = 0.0
    full: bool = False
    finished: deque[float] = field(default_factory=lambda: deque(maxlen=50))

    def expected_wait(self, now: float) -> float | None:
        """How long one more would wait, by what was finished lately; None while nothing was."""
        if len(self.finished) < 2:
            return None
        span = max(now - self.finished[0], 0.001)
        return len(self.waiting) * span / len(self.finished)


class Lanes:
    """At most `slots` jobs are in work, at most `per_lane` of one lane; lanes take turns. `start` begins a job's work; `rest` says how
    long to leave a destination alone after so many failures in a row, beyond the `tolerated` ones."""

    def __init__(
        self,
        slots: int,
        per_lane: int,
        rest: Callable[[int], float],
        start: Callable[[Job], None],
        tolerated: int = 0,
        clock: Callable[[], float] = time.monotonic,
        limits_of: Callable[[str], Limits] = lambda name: NO_LIMITS,
    ) -> None:
        """`limits_of` says what holds for single lanes, by name."""
        self._slots = slots
        self._per_lane = per_lane
        self._limits_of = limits_of
        self._rest = rest
        self._start = start
        self._tolerated = tolerated
        self._clock = clock
        self._lanes: OrderedDict[str, Lane] = OrderedDict()
        self._turns: deque[Lane] = deque()  # lanes with jobs that wait
        self._active = 0
        self._active_unproven = 0
        self._unproven: set[Job] = set()

    @property
    def active(self) -> int:
        """Jobs in work."""
        return self._active

    @property
    def waiting(self) -> int:
        """Jobs that wait for their turn."""
        return sum(len(lane.waiting) for lane in self._turns)

    def offer(self, job: Job) -> Park | bool:
        """True: taken. False: there is no room in its lane now, ask again. Park: it shall come back later."""
        now = self._clock()
        lane = self._lane(job.lane)
        if lane.resting_until > now:
            return Park(lane.resting_until - now, lane.why)
        room = WAITING_PROVEN if lane.proven else WAITING_UNPROVEN
        lane.full = len(lane.waiting) >= (room // 2 if lane.full else room)
        wait = lane.expected_wait(now)
        if wait is None and lane.full:
            wait = 0.0 if now - lane.busy_since < PATIENCE else 2 * SOON
        if wait is not None and wait > SOON and len(lane.waiting) >= lane.most:
            return Park(wait, f"{len(lane.waiting)} mails wait for {lane.name} before it")
        if lane.full:
            return False
        if not lane.waiting:
            self._turns.append(lane)
            if not lane.active:
                lane.busy_since = now
                lane.finished.clear()
        lane.waiting.append(job)
        self._start_next()
        return True

    def finish(self, job: Job, answered: bool, why: str = "", *, too_fast: bool = False) -> list[Job]:
        """A job's work is over; `too_fast`: its destination asks for less at a time. Returns the jobs that shall be parked because their
        destination does not answer."""
        now = self._clock()
        lane = self._lane(job.lane)
        lane.active -= 1
        self._active -= 1
        if job in self._unproven:
            self._unproven.discard(job)
            self._active_unproven -= 1
        lane.finished.append(now)
        given: list[Job] = []
        if answered:
            lane.failures, lane.proven, lane.resting_until = 0, True, 0.0
            lane.limit = max(1, lane.limit // 2) if too_fast else min(lane.most, lane.limit + 1)
        elif lane.resting_until <= now:  # of several that fail together the first one counts
            lane.failures += 1
            if lane.failures > self._tolerated:
                lane.proven, lane.limit, lane.why = False, 1, why
                lane.resting_until = now + self._rest(lane.failures - self._tolerated)
                given = list(lane.waiting)
                lane.waiting.clear()
                if given:
                    self._turns.remove(lane)
        self._start_next()
        return given

    def abandon(self, job: Job) -> None:
        """A job that was started was taken back before its destination was asked anything that counts."""
        lane = self._lane(job.lane)
        lane.active -= 1
        self._active -= 1
        if job in self._unproven:
            self._unproven.discard(job)
            self._active_unproven -= 1
        self._start_next()

    def rest_of(self, name: str) -> Park | None:
        """For how long a lane is left alone, and why; None where it is not."""
        lane = self._lanes.get(name)
        now = self._clock()
        return Park(lane.resting_until - now, lane.why) if lane is not None and lane.resting_until > now else None

    def give_back(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Take the waiting jobs that are `wanted` out of their lanes."""
        given: list[Job] = []
        for lane in list(self._turns):
            taken = [job for job in lane.waiting if wanted(job)]
            if taken:
                given += taken
                lane.waiting = deque(job for job in lane.waiting if not wanted(job))
                if not lane.waiting:
                    self._turns.remove(lane)
        return given

    def start_due(self) -> None:
        """Start what had to wait for its lane's rate; to be called now and then."""
        self._start_next()

    def _start_next(self) -> None:
        """Start what may be started, one of each lane in turn."""
        passed, now = 0, self._clock()
        while self._active < self._slots and passed < len(self._turns):
            lane = self._turns[0]
            self._turns.rotate(-1)
            # Those who have not shown that they answer get half of the slots at most, so that they never take all.
            held_back = not lane.proven and self._active_unproven >= max(1, self._slots // 2)
            if lane.active >= lane.limit or held_back or lane.next_start > now:
                passed += 1
                continue
            passed = 0
            job = lane.waiting.popleft()
            if not lane.waiting:
                self._turns.remove(lane)
            late = now - lane.next_start  # a look that comes a little late does not lower the rate
            lane.next_start = (lane.next_start if late < lane.every else now) + lane.every
            lane.active += 1
            self._active += 1
            if not lane.proven:
                self._unproven.add(job)
                self._active_unproven += 1
            self._start(job)

    def _lane(self, name: str) -> Lane:
        lane = self._lanes.get(name)
        if lane is None:
            if len(self._lanes) >= MOST_LANES:
                self._forget_idle()  # before the new one is there, which is idle as well
            limits = self._limits_of(name)
            most = limits.at_a_time or self._per_lane
            every = 60 / limits.per_minute if limits.per_minute else 0.0
            lane = self._lanes[name] = Lane(name, min(FIRST_LIMIT, most), most, every)
        return lane

    def _forget_idle(self) -> None:
        now = self._clock()
        for name, lane in list(self._lanes.items()):
            if not lane.active and not lane.waiting and lane.resting_until <= now:
                del self._lanes[name]
