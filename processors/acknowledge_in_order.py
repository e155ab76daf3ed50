"""Working on many records at once, and acknowledging those of a partition in the order in which they came.

Faust commits the first run of acknowledged offsets that it knows of, whatever lies before it: only acknowledgements without gaps are
safe (docs/decisions/0003-faust.md). One partition's slow record holds up no other partition.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from contracts.records import ConsumedRecord
from runtime.end_process import end_process

Work = Callable[[ConsumedRecord], Awaitable[None]]


class Unacknowledged(Protocol):
    """What Faust gives: something to acknowledge."""

    def ack(self) -> object: ...


class _Entry:
    """A record that is not acknowledged, without its octets: it may wait long for one before it, and nothing bounds how many do."""

    __slots__ = ("again", "done", "event", "task")

    def __init__(self, event: Unacknowledged) -> None:
        self.event = event
        self.done = False
        self.task: asyncio.Task[None] | None = None
        self.again: list[_Entry] = []  # the same record, read again while it was in work


class OrderedAcks:
    """At most `most` records and, but for the last one, `octets` are in work at a time; `weigh` tells how many one takes with what follows
    from it. An error of `work` ends the process: nothing after that record was acknowledged, and the restarted worker reads it again.
    The octets of a record are held only while it is in work."""

    def __init__(self, work: Work, most: int, octets: int, weigh: Callable[[ConsumedRecord], int]) -> None:
        self._work = work
        self._weigh = weigh
        self._most = most
        self._octets = octets
        self._partitions: dict[int, deque[_Entry]] = {}
        self._unended: dict[tuple[int, int], _Entry] = {}  # by partition and offset
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_work = 0  # octets
        self._room = asyncio.Event()
        self._room.set()
        self.acknowledged = 0

    @property
    def in_flight(self) -> int:
        """Records that are being worked on."""
        return len(self._tasks)

    async def submit(self, event: Unacknowledged, source: ConsumedRecord) -> None:
        """Start on a record; waits while too much is in work. One that is read again while it is in work (its partition was away
        for a moment) is not worked on twice. `event` has to do without what `source` holds."""
        await self._room.wait()
        entry = _Entry(event)
        self._partitions.setdefault(source.partition, deque()).append(entry)
        place = (source.partition, source.offset)
        if place in self._unended:
            self._unended[place].again.append(entry)
            return
        self._unended[place] = entry
        weight = self._weigh(source)
        self._in_work += weight
        task = entry.task = asyncio.get_running_loop().create_task(self._run(entry, source, weight))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        self._make_room()

    async def let_end(self, partitions: set[int], at_most: float) -> None:
        """Wait until what is in work of these partitions has ended, for so many seconds at most: their next reader finds all of it."""
        tasks = [
            entry.task for (partition, _), entry in self._unended.items() if partition in partitions and entry.task
        ]
        if tasks:
            await asyncio.wait(tasks, timeout=at_most)

    async def _run(self, entry: _Entry, source: ConsumedRecord, weight: int) -> None:
        try:
            await self._work(source)
        except Exception as error:
            end_process(f"a bug at {source}", error)
        del self._unended[source.partition, source.offset]
        for one in (entry, *entry.again):
            one.done = True
            one.task = None
        self._in_work -= weight
        waiting = self._partitions[source.partition]
        while waiting and waiting[0].done:
            waiting.popleft().event.ack()
            self.acknowledged += 1

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._make_room()

    def _make_room(self) -> None:
        if len(self._tasks) < self._most and self._in_work < self._octets:
            self._room.set()
        else:
            self._room.clear()
