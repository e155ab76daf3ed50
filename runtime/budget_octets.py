"""A bound on the octets that many tasks of one process hold in memory at a time, served in turn.

    async with budget.hold(size):          # known size: waits in line until there is room
        ...
    with budget.growing() as hold:         # a stream whose size is not known yet
        hold.try_grow(1 << 20)             # more, if it is free at this moment; never waits
        await hold.exchange(size)          # gives back what it has, then waits in line

Nobody waits while holding, so no two tasks can wait for each other. A stream that may not grow goes to a file, or is refused.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class OctetBudget:
    """At most `limit` octets. Who waits is served in turn (FIFO). A request that does not fit even so, because it is larger than
    the limit or than what streams have left, is served when no other one is: the bound is then that request beside half of
    the limit. Streams grow into half of the limit at most, and not at all while somebody waits, so slow ones do not hold up
    the line.

    A budget may lie `within` another one, as the share that one client may have: then both must have room.
    For one event loop; time limits are the caller's (`asyncio.timeout`)."""

    def __init__(self, limit: int, within: "OctetBudget | None" = None) -> None:
        self.limit = limit
        self.held = 0
        self.grown = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._chain: tuple[OctetBudget, ...] = (self, *(within._chain if within is not None else ()))

    @property
    def used(self) -> int:
        """Octets that are taken at present."""
        return self.held + self.grown

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return sum(not future.done() for _, future in self._waiting)

    @asynccontextmanager
    async def hold(self, octets: int) -> "AsyncIterator[Hold]":
        """Hold this many while the block runs, from when there is room."""
        with self.growing() as hold:
            await hold.exchange(octets)
            yield hold

    def growing(self) -> "Hold":
        """A hold that has nothing yet; what it has is given back at the end of the `with` block."""
        return Hold(self)

    async def _take(self, octets: int) -> None:
        taken: list[OctetBudget] = []
        try:
            for budget in self._chain:
                await budget._wait_for(octets)
                taken.append(budget)
        except BaseException:
            for budget in taken:
                budget._give_back(octets)
            raise

    async def _wait_for(self, octets: int) -> None:
        if not self._waiting and self._has_room(octets):
            self.held += octets
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((octets, future))
        try:
            await future
        except BaseException:
            if future.cancelled():
                with suppress(ValueError):  # it may have been passed over already
                    self._waiting.remove((octets, future))
                self._serve()  # those behind may fit
            else:  # served, and cancelled in the same moment
                self._give_back(octets)
            raise

    def _has_room(self, octets: int) -> bool:
        return self.held == 0 or self.used + octets <= self.limit

    def _serve(self) -> None:
        while self._waiting:
            octets, future = self._waiting[0]
            if not future.done():
                if not self._has_room(octets):
                    return
                self.held += octets
                future.set_result(None)
            self._waiting.popleft()

    def _give_back(self, octets: int) -> None:
        self.held -= octets
        self._serve()

    def _may_grow(self, octets: int) -> bool:
        room = self.grown + octets <= self.limit // 2 and self.used + octets <= self.limit
        return room and not self.waiting


class Hold:
    """What one task has of a budget."""

    def __init__(self, budget: OctetBudget) -> None:
        self._budget = budget
        self._octets = 0
        self._waited_for = False

    def __enter__(self) -> "Hold":
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    @property
    def octets(self) -> int:
        """How many it has."""
        return self._octets

    def try_grow(self, octets: int) -> bool:
        """Have this many in all; False, and nothing changed, when they are not free at this moment."""
        more = octets - self._octets
        if more <= 0:
            return True
        if self._waited_for or not all(budget._may_grow(more) for budget in self._budget._chain):
            return False
        for budget in self._budget._chain:
            budget.grown += more
        self._octets = octets
        return True

    async def exchange(self, octets: int) -> None:
        """Give back what it has, then wait in line for this many."""
        self.give_back()
        await self._budget._take(octets)
        self._octets, self._waited_for = octets, octets > 0

    def give_back(self) -> None:
        """Have nothing any more."""
        if not self._octets:
            return  # as most do
        octets, self._octets = self._octets, 0
        waited_for, self._waited_for = self._waited_for, False
        for budget in self._budget._chain:
            if waited_for:
                budget._give_back(octets)
            else:
                budget.grown -= octets
                budget._serve()
