"""Which records were in work when the process died. One on which it has died several times is put aside, so that it does not kill the
next one as well.

A small file, mapped into memory: writing costs a microsecond, and what is written is there however the process ends (it need not
survive the machine). One slot a record; free slots are zero octets.
"""

import asyncio
import logging
import mmap
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from contracts.errors import InvalidEvent
from contracts.records import ConsumedRecord

_log = logging.getLogger("mailscope.suspects")

SLOTS = 1024
SLOT = 128  # octets
SUSPECT = 2  # in work at so many deaths, it is worked on alone
# In work at so many, it is put aside: a process that somebody keeps killing is not to blame its records.
DEATHS = 5
_IN_WORK, _KEPT = "w", "k"

Spot = tuple[str, int, int]  # topic, partition, offset


class SuspectRecords:
    """One process's journal. `path` is its own; whoever runs under the same name next reads it."""

    def __init__(self, path: Path, slots: int = SLOTS) -> None:
        self._map = _map_file(path, slots * SLOT)
        self._alone = asyncio.Lock()
        self._slots: dict[Spot, int] = {}
        self._deaths: dict[Spot, int] = {}
        self._free: list[int] = []
        for slot in reversed(range(slots)):
            self._read(slot)

    def deaths(self, source: ConsumedRecord) -> int:
        """How often the process died while this record was in work."""
        return self._deaths.get(_spot(source), 0)

    def begin(self, source: ConsumedRecord) -> None:
        """Work on this record begins."""
        spot = _spot(source)
        slot = self._slots.get(spot)
        if slot is None:
            if not self._free:
                self._forget_one()
            slot = self._slots[spot] = self._free.pop()
        self._write(slot, _IN_WORK, spot, self._deaths.get(spot, 0))

    def rest(self, source: ConsumedRecord) -> None:
        """It is not worked on for the moment, and not done."""
        spot = _spot(source)
        if spot in self._slots:
            self._write(self._slots[spot], _KEPT, spot, self._deaths.get(spot, 0))

    def end(self, source: ConsumedRecord) -> None:
        """It is done, or waits for something."""
        spot = _spot(source)
        slot = self._slots.pop(spot, None)
        if slot is not None:
            self._deaths.pop(spot, None)
            self._map[slot * SLOT : (slot + 1) * SLOT] = bytes(SLOT)
            self._free.append(slot)

    @asynccontextmanager
    async def in_work(self, source: ConsumedRecord) -> AsyncIterator[None]:
        """Work on this record, for the block. A suspect is worked on while no other one is, so that of several the one shows that is to
        blame. InvalidEvent("process_died") instead of the block when the process has died of it often enough."""
        deaths = self.deaths(source)
        if deaths < SUSPECT:  # one death has hundreds of witnesses
            with self._written_down(source):
                yield
            return
        _log.warning("%s was in work when this process died, %d times: it is worked on alone", source, deaths)
        async with self._alone:
            if deaths >= DEATHS:
                self.end(source)
                raise InvalidEvent("process_died", f"this process died {deaths} times while it worked on this record")
            with self._written_down(source):
                yield

    @contextmanager
    def _written_down(self, source: ConsumedRecord) -> Iterator[None]:
        self.begin(source)
        try:
            yield
        except asyncio.CancelledError:  # given back: read here again, it still has its deaths
            self.rest(source)
            raise
        except BaseException:
            self.end(source)
            raise
        self.end(source)

    def forgive(self) -> None:
        """This process is told to end: however it ends from now on, no record is to blame. Safe for threads."""
        for spot, slot in list(self._slots.items()):
            self._write(slot, _KEPT, spot, self._deaths.get(spot, 0))

    def close(self) -> None:
        """Let go of the file."""
        self._map.close()

    def _read(self, slot: int) -> None:
        words = bytes(self._map[slot * SLOT : (slot + 1) * SLOT]).rstrip(b"\0").decode("utf-8", "replace").split(" ")
        try:
            state, topic, partition, offset, deaths = words[0], words[1], int(words[2]), int(words[3]), int(words[4])
        except (IndexError, ValueError):
            self._free.append(slot)
            return
        spot = (topic, partition, offset)
        self._slots[spot] = slot
        self._deaths[spot] = deaths + (state == _IN_WORK)
        self._write(slot, _KEPT, spot, self._deaths[spot])

    def _write(self, slot: int, state: str, spot: Spot, deaths: int) -> None:
        text = f"{state} {spot[0]} {spot[1]} {spot[2]} {deaths}".encode()[:SLOT]
        self._map[slot * SLOT : (slot + 1) * SLOT] = text.ljust(SLOT, b"\0")

    def _forget_one(self) -> None:
        """A suspect whose partition went elsewhere is never read here again."""
        spot = next(iter(self._slots))
        slot = self._slots.pop(spot)
        self._deaths.pop(spot, None)
        self._free.append(slot)


def _spot(source: ConsumedRecord) -> Spot:
    return source.topic, source.partition, source.offset


def _map_file(path: Path, octets: int) -> mmap.mmap:
    """The file in memory, with all its room taken on the disk: to touch a page that the disk has no room for ends a process (SIGBUS). On a
    full disk it is memory alone, and what is in work at a death is not known to the next process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.truncate(octets)
            os.posix_fallocate(file.fileno(), 0, octets)
            return mmap.mmap(file.fileno(), octets)
    except OSError as error:
        _log.warning(
            "%s cannot be kept (%s): a record that kills this process is not told from others", path, error.strerror
        )
        return mmap.mmap(-1, octets)
