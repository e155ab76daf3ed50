"""The content of a message as SMTP sends it: found to its end, with transparency undone (RFC 5321 section 4.5.2).

CRLF.CRLF alone ends it. A message of up to MEMORY octets is read in one piece. A larger one is written to a file while it is
read, so that its sender's pace costs no memory, and comes into memory as a whole when the budget has room for it.

The reader is asyncio's, and its limit and buffer are set here: there is no public way to let it hold more for a moment, and none to
give back what was read too far.
"""

import asyncio
import logging

from contracts.errors import Unavailable
from ingest.smtp.spool import Spool, SpoolFile
from runtime.budget_octets import Hold

_log = logging.getLogger("mailscope.smtp")
END_OF_DATA = b"\r\n.\r\n"
NO_ROOM = "452 4.3.1 No room for the message at present, try again later"
PATIENCE = 60.0  # seconds that a message waits on disk for memory; RFC 5321 section 4.5.3.2.6 gives us 10 minutes
FREE = 64 << 10  # octets that every connection may have, whatever the budget
MEMORY = 1 << 20  # octets from which on a message goes to a file
PIECE = 256 << 10  # octets that are read at a time on their way to a file


class ContentRefused(Exception):
    """The content was read to its end and is not taken; `reply` says why."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


class ContentReader:
    """Reads content for all connections of a process."""

    def __init__(self, spool: Spool, max_size: int, patience: float = PATIENCE) -> None:
        """`max_size` in octets; `patience` in seconds, how long a message waits on disk for memory."""
        self._spool = spool
        self._max_size = max_size
        self._patience = patience

    async def read(self, reader: asyncio.StreamReader, hold: Hold) -> bytes | SpoolFile:
        """The content, in memory or in a file that the caller closes. ContentRefused when it is too large or finds no room. What
        is more than FREE in memory is in `hold`. Time limits are the caller's."""
        usual = reader._limit  # type: ignore[attr-defined]
        try:
            reader._buffer[0:0] = b"\r\n"  # type: ignore[attr-defined]  # the end of the DATA line may be a part of the end
            octets = await _read_in_one_piece(reader, hold)
            if octets is None:
                return await self._read_to_file(reader, hold)
        finally:
            reader._limit = usual  # type: ignore[attr-defined]
        message = octets.replace(b"\r\n..", b"\r\n.")[2 : 2 - len(END_OF_DATA)]
        if len(message) > self._max_size:
            raise self._too_large()
        return message

    async def load(self, file: SpoolFile, hold: Hold) -> bytes:
        """A message from its file into the memory of `hold`; the file is closed. ContentRefused when there is no room for long."""
        try:
            async with asyncio.timeout(self._patience):
                await hold.exchange(file.size)
            return await file.read()
        except (TimeoutError, Unavailable) as error:
            _log.warning("answered 452 to a message of %d octets: %s", file.size, error or "no memory")
            raise ContentRefused(NO_ROOM) from error
        finally:
            file.close()

    async def _read_to_file(self, reader: asyncio.StreamReader, hold: Hold) -> SpoolFile:
        reader._limit = FREE  # type: ignore[attr-defined]
        copy = _Copy(self._spool, self._max_size)
        try:
            rest: bytes | None = b""
            while rest is not None:
                piece = await reader.read(PIECE)
                if not piece:
                    raise ConnectionResetError
                octets, rest = _cut(rest + piece, reader)
                await copy.write(octets)
                if len(reader._buffer) <= FREE:  # type: ignore[attr-defined]
                    hold.give_back()
            if copy.size > self._max_size:
                raise self._too_large()
            return copy.finish()
        except Unavailable as error:
            copy.close()
            _log.warning("answered 452 to a message of %d octets: %s", copy.size, error)
            raise ContentRefused(NO_ROOM) from error
        except BaseException:
            copy.close()
            raise

    def _too_large(self) -> ContentRefused:
        return ContentRefused(f"552 5.3.4 The message is larger than {self._max_size} octets")


class _Copy:
    """A message on its way to a file. When it is too large or the disk is full, the rest is read and written nowhere."""

    def __init__(self, spool: Spool, max_size: int) -> None:
        self._max_size = max_size
        self._before = 2  # octets that are none of the message: the CRLF in front
        self._file: SpoolFile | None = None
        self._trouble: Unavailable | None = None
        self.size = 0
        try:
            self._file = spool.open()
        except Unavailable as error:
            self._trouble = error

    async def write(self, octets: bytes) -> None:
        octets = octets.replace(b"\r\n..", b"\r\n.")[self._before :]
        self._before = 0
        self.size += len(octets)
        if self._file is not None and self.size <= self._max_size:
            try:
                await self._file.write(octets)
                return
            except Unavailable as error:
                self._trouble = error
        self.close()

    def finish(self) -> SpoolFile:
        """The file with all of it. Unavailable when there was trouble."""
        if self._trouble is not None:
            raise self._trouble
        assert self._file is not None
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


async def _read_in_one_piece(reader: asyncio.StreamReader, hold: Hold) -> bytes | None:
    """The content with its end, and the CRLF in front. None, and all of it still in the reader, when that takes too much memory."""
    for limit in (FREE, MEMORY):
        if limit > FREE and not hold.try_grow(limit):
            return None
        reader._limit = limit  # type: ignore[attr-defined]
        try:
            return await reader.readuntil(END_OF_DATA)
        except asyncio.LimitOverrunError:
            pass
    return None


def _cut(octets: bytes, reader: asyncio.StreamReader) -> tuple[bytes, bytes | None]:
    """What certainly belongs to the message, and what may be a part of its end; None for that when the end is found, and
    what stands behind it is given back to the reader."""
    end = octets.find(END_OF_DATA)
    if end >= 0:
        reader._buffer[0:0] = octets[end + len(END_OF_DATA) :]  # type: ignore[attr-defined]
        return octets[: end + 2], None
    for length in range(len(END_OF_DATA) - 1, 0, -1):
        if octets.endswith(END_OF_DATA[:length]):
            return octets[:-length], octets[-length:]
    return octets, b""
