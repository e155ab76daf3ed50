"""What a server says over an open session: one reply at a time and in order, however its octets come (RFC 5321 section 4.2)."""

import asyncio

from aiosmtplib.errors import SMTPReadTimeoutError, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.response import SMTPResponse

MOST = 32 << 10  # octets of one reply, and about so many that are read ahead


class Replies(asyncio.Protocol):
    """The protocol of a transport whose session is open. What has come and was not asked for is bounded: the server waits then."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._buffer = bytearray()
        self._looked = 0  # octets of it in which no line ends
        self._lines: list[bytes] = []  # of a reply that is not whole yet
        self._octets = 0  # of them
        self._came: asyncio.Future[None] | None = None
        self._held_up = False
        self.closed = False  # by the server or by us; what came before can still be read

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= MOST and not self._held_up:
            self._held_up = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self.closed = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._wake()

    def forget(self) -> None:
        """Drop what has come: it is no answer to what is said next."""
        self._buffer.clear()
        self._looked, self._lines, self._octets = 0, [], 0
        self._read_on()

    async def next(self, seconds: float | None) -> SMTPResponse:
        """The next reply. SMTPServerDisconnected when none will come, SMTPReadTimeoutError when none has come within `seconds`,
        SMTPResponseException when it is none."""
        try:
            async with asyncio.timeout(seconds):
                while (reply := self._take()) is None:
                    if self.closed:
                        raise SMTPServerDisconnected("Connection lost")
                    self._came = asyncio.get_running_loop().create_future()
                    await self._came
        except TimeoutError as error:
            raise SMTPReadTimeoutError("Timed out waiting for server response") from error
        self._read_on()
        return reply

    def _take(self) -> SMTPResponse | None:
        """The reply that is whole; what is read of one that is not is read once, however slowly it comes."""
        while (end := self._buffer.find(b"\n", self._looked)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._looked, self._octets = 0, self._octets + end + 1
            if self._octets > MOST:
                raise SMTPResponseException(-1, "Response too long")
            if not line[:3].isdigit():
                raise SMTPResponseException(-1, f"Malformed SMTP response line: {line.decode('utf-8', 'replace')}")
            self._lines.append(line[4:].strip(b" \t\r"))
            if line[3:4] != b"-":
                text = b"\n".join(self._lines).decode("utf-8", "surrogateescape")
                self._lines, self._octets = [], 0
                return SMTPResponse(int(line[:3]), text)
        self._looked = len(self._buffer)
        if self._octets + len(self._buffer) >= MOST:
            raise SMTPResponseException(-1, "Response too long")
        self._read_on()
        return None

    def _read_on(self) -> None:
        if self._held_up and len(self._buffer) < MOST and not self.closed:
            self._held_up = False
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._came is not None and not self._came.done():
            self._came.set_result(None)
