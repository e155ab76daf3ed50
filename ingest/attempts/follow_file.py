"""A log file as it grows, over its rotations and our restarts: whole lines, each once after the last one that was acknowledged.

A file is known by its inode, so one that was renamed is read to its end before the next one begins; after a restart it is looked for among
its neighbours. What was rotated in the meantime comes in between, in the order of its last lines, unless it is compressed. A renamed file
is left when the next one has a line: until then, its writer may not have heard of the rotation. A file that became shorter (copytruncate)
is begun anew.
"""

import contextlib
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

CHUNK = 1 << 20  # octets that are read at a time
LONGEST = 64 << 10  # octets of a line; what is longer is passed over
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4")  # not read any more


class Place(msgspec.Struct, frozen=True):
    """Where the next line begins."""

    inode: int = 0
    offset: int = 0


class FollowedFile:
    """The file at `path`, from `place` on; without one, from its beginning."""

    def __init__(self, path: Path, place: Place) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._inode = place.inode
        self._offset = place.offset  # of what `_rest` begins with
        self._rest = b""
        self._skipping = False  # a line that is too long

    @property
    def place(self) -> Place:
        """Where the line after the last one that was returned begins."""
        return Place(self._inode, self._offset)

    def read(self) -> list[str]:
        """The lines that have come since; [] when there are none. OSError when the file cannot be read."""
        while self._file is not None or self._open():
            assert self._file is not None
            octets = self._file.read(CHUNK)
            if octets and (found := self._split(octets)):
                return found
            if not octets and not self._turn():
                return []
        return []

    def close(self) -> None:
        """Stop."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _split(self, octets: bytes) -> list[str]:
        *lines, rest = (self._rest + octets).split(b"\n")
        found = []
        for line in lines:
            if not self._skipping and len(line) <= LONGEST:
                found.append(line.decode("utf-8", "replace"))
            self._skipping = False
            self._offset += len(line) + 1
        if len(rest) > LONGEST:
            self._skipping = True
            self._offset += len(rest)
            rest = b""
        self._rest = rest
        return found

    def _open(self) -> bool:
        for path in (self._path, *self._neighbours()):
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            known = os.fstat(file.fileno())
            if not self._inode or known.st_ino == self._inode:
                return self._begin(file, known.st_ino, self._offset if known.st_size >= self._offset else 0)
            file.close()
        try:
            file = self._oldest().open("rb")  # the one we knew is gone: what is told twice changes nothing
        except FileNotFoundError:
            return False
        return self._begin(file, os.fstat(file.fileno()).st_ino, 0)

    def _begin(self, file: BinaryIO, inode: int, offset: int) -> bool:
        file.seek(offset)
        self._file, self._inode, self._offset, self._rest, self._skipping = file, inode, offset, b"", False
        return True

    def _neighbours(self) -> list[Path]:
        try:
            beside = [
                one
                for one in self._path.parent.iterdir()
                if one.name.startswith((f"{self._path.name}.", f"{self._path.name}-"))
            ]
            return sorted(one for one in beside if one.suffix not in COMPRESSED and one.is_file())
        except FileNotFoundError:
            return []

    def _turn(self) -> bool:
        """At the end of what we have: it may have been rotated away, or cut short. Whether there is something else to read."""
        assert self._file is not None
        ours = os.fstat(self._file.fileno())
        if ours.st_size < self._offset + len(self._rest):
            self._file.seek(0)
            self._offset, self._rest, self._skipping = 0, b"", False
            return True
        following = self._following(ours)
        more = bool(self._file.read(1))  # asked last: who writes into the next file has ended this one
        self._file.seek(self._offset + len(self._rest))
        if following is None or more:
            return more
        try:
            file = following.open("rb")
        except FileNotFoundError:
            return False
        self._file.close()
        return self._begin(file, os.fstat(file.fileno()).st_ino, 0)

    def _following(self, ours: os.stat_result) -> Path | None:
        """The file that was written to after ours, and holds something; None while there is none."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return None
        if now.st_ino == ours.st_ino or not now.st_size:
            return None
        return self._oldest(ours.st_mtime_ns)

    def _oldest(self, after: int = 0) -> Path:
        """Of the rotated files that were last written to after this time (nanoseconds), the first one; else the file itself."""
        found = []
        for path in self._neighbours():
            with contextlib.suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, path))
        return min((one for one in found if one[0] > after), default=(0, self._path))[1]
