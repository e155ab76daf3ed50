"""A remote mail server that takes its time, or never greets, and counts how often each mail came."""

import asyncio
import collections
import contextlib
import re
import time

from tests.fakes.loop_thread import LoopThread
from tests.wait_for import wait_for

_SUBJECT = re.compile(rb"^Subject: (.*?)\r\n", re.MULTILINE)


class CountingMta:
    """Runs until `stop()`. `delay` (seconds) passes before the answer to the end of DATA, `greets` False is a black hole; `refuse` is
    a reply to RCPT. `came` counts accepted mails by subject, `begun` those whose content has arrived, `came_at` is when each
    came last."""

    def __init__(self, host: str, port: int, delay: float = 0.0, *, greets: bool = True) -> None:
        self.delay = delay
        self.greets = greets
        self.refuse = ""
        self.came: collections.Counter[str] = collections.Counter()
        self.begun: collections.Counter[str] = collections.Counter()
        self.came_at: dict[str, float] = {}  # seconds of time.monotonic
        self.connections = 0
        self._thread = LoopThread()
        self._server = self._thread.run(self._start(host, port))

    async def _start(self, host: str, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._serve, host, port, limit=100 << 20)

    def stop(self) -> None:
        self._thread.stop(self._server.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while not self.greets:
                    await asyncio.sleep(0.1)
                writer.write(b"220 remote.test ready\r\n")
                while await self._answer(reader, writer):
                    await writer.drain()
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = await reader.readuntil(b"\r\n")
        verb = line[:4].upper()
        if verb == b"EHLO":
            writer.write(b"250-remote.test\r\n250-SIZE 100000000\r\n250 8BITMIME\r\n")
        elif verb == b"RCPT" and self.refuse:
            writer.write(self.refuse.encode() + b"\r\n")
        elif verb == b"DATA":
            writer.write(b"354 go on\r\n")
            content = await reader.readuntil(b"\r\n.\r\n")
            found = _SUBJECT.search(content)
            subject = found[1].decode() if found else ""
            self.begun[subject] += 1
            await asyncio.sleep(self.delay)
            self.came_at[subject] = time.monotonic()
            self.came[subject] += 1  # taken from here on: whoever is not told so will send it again
            writer.write(b"250 2.0.0 taken\r\n")
        elif verb == b"QUIT":
            writer.write(b"221 bye\r\n")
            return False
        else:
            writer.write(b"250 ok\r\n")
        return True

    def wait_for_more(self, mails: int) -> None:
        """Until so many more have been accepted."""
        goal = self.came.total() + mails
        assert wait_for(lambda: self.came.total() >= goal, 60), f"{self.came.total()} came, {goal} were to"

    def doubled(self) -> dict[str, int]:
        """The mails that were taken more than once."""
        return {subject: times for subject, times in self.came.items() if times > 1}
