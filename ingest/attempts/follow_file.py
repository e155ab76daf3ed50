"""A log file as it grows, over its rotations and our restarts: whole lines, each once after the last one that was acknowledged.

A file is known by its inode, so one that was renamed is read to its end before the new one begins; after a restart it is looked for among
its neighbours. A file that became shorter (copytruncate) is begun anew.
"""

import os
from pathlib import Path
from typing import BinaryIO

import msgspec

CHUNK = 1 << 20  # octets that are read at a time
LONGEST = 64 << 10  # octets of a line; what is longer is passed over


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
        if self._file is None and not self._open():
            return []
        assert self._file is not None
        octets = self._file.read(CHUNK)
        if not octets:
            self._turn()
            return []
        return self._split(octets)

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
            file = self._path.open("rb")
        except FileNotFoundError:
            return False
        return self._begin(file, os.fstat(file.fileno()).st_ino, 0)  # the one we knew is gone

    def _begin(self, file: BinaryIO, inode: int, offset: int) -> bool:
        file.seek(offset)
        self._file, self._inode, self._offset, self._rest, self._skipping = file, inode, offset, b"", False
        return True

    def _neighbours(self) -> list[Path]:
        try:
            return sorted(one for one in self._path.parent.iterdir() if one.name.startswith(self._path.name + "."))
        except FileNotFoundError:
            return []

    def _turn(self) -> None:
        """At the end of what we have: it may have been rotated away, or cut short."""
        assert self._file is not None
        ours = os.fstat(self._file.fileno())
        if ours.st_size < self._offset + len(self._rest):
            self._file.seek(0)
            self._offset, self._rest, self._skipping = 0, b"", False
            return
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return
        if now.st_ino != ours.st_ino and not self._file.read(1):
            self._file.close()
            self._file = None
            self._inode, self._offset, self._rest = now.st_ino, 0, b""
        else:
            self._file.seek(self._offset + len(self._rest))
