"""Where large messages wait on disk while they are read, so that slow senders fill no memory."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import IO

from contracts.errors import Unavailable

MIN_FREE = 256 << 20  # octets of the disk that are left to others: Kafka may stand on it too


class Spool:
    """Files in a folder. They have no names there, so that nothing is left of them however the process ends."""

    def __init__(self, folder: Path, max_size: int) -> None:
        """`max_size` is what one file may become, in octets."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._max_size = max_size
        self._open = 0

    def open(self) -> "SpoolFile":
        """A new file. Unavailable when the disk has no room for it and for those that are being written."""
        try:
            free = shutil.disk_usage(self._folder).free
            if free < MIN_FREE + (self._open + 1) * self._max_size:
                raise Unavailable("spool", f"{free} octets are free on the disk of {self._folder}")
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - SpoolFile closes it
        except OSError as error:
            raise Unavailable("spool", str(error)) from error
        self._open += 1
        return SpoolFile(self, file)

    def closed(self) -> None:
        """One of the files is gone."""
        self._open -= 1


class SpoolFile:
    """One message on disk. Reading and writing happen in threads."""

    def __init__(self, spool: Spool, file: IO[bytes]) -> None:
        self._spool = spool
        self._file = file
        self.size = 0

    async def write(self, octets: bytes) -> None:
        """Append. Unavailable when the disk does not take them."""
        try:
            await asyncio.to_thread(self._file.write, octets)
        except OSError as error:
            raise Unavailable("spool", str(error)) from error
        self.size += len(octets)

    async def read(self) -> bytes:
        """All of it. Unavailable when the disk does not give it."""
        try:
            octets = await asyncio.to_thread(self._read)
        except OSError as error:
            raise Unavailable("spool", str(error)) from error
        if len(octets) != self.size:
            raise Unavailable("spool", f"{len(octets)} octets of {self.size} are there")
        return octets

    def close(self) -> None:
        """Gone from the disk. Closing twice is closing once."""
        if not self._file.closed:
            try:
                self._file.close()  # waits for a thread that is writing
            except OSError:
                pass  # what could not be written is not wanted any more
            self._spool.closed()

    def _read(self) -> bytes:
        self._file.seek(0)
        return self._file.read(self.size)
