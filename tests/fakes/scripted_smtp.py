"""A remote mail server that follows a script, on a real socket of 127.0.0.1."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping

from sinks.delivery.find_servers import Server
from tests.fakes.serve_streams import serving

HANG_UP = "hang up"
SILENCE = "silence"
Says = Mapping[str, str | list[str]]


class Scripted:
    """`says` maps a step (banner, EHLO, STARTTLS, MAIL, RCPT <address>, DATA, END) to an answer, HANG_UP or SILENCE; a list of them
    is used up one by one. `holds`: answers to MAIL and RCPT go out with the next other one, as they may with PIPELINING.
    `piece` is how many octets are written at a time (0: all)."""

    def __init__(
        self,
        says: Says,
        extensions: tuple[str, ...],
        tls: ssl.SSLContext | None,
        *,
        holds: bool = False,
        piece: int = 0,
    ) -> None:
        self.says = says
        self.extensions = extensions
        self.tls = tls
        self.heard: list[str] = []
        self.content = b""
        self.connections = 0
        self._holds = holds
        self._piece = piece

    def answer(self, step: str, usual: str) -> str:
        said = self.says.get(step, usual)
        if isinstance(said, list):
            return said.pop(0) if said else usual
        return said

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._held = b""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            if await self.say(writer, self.answer("banner", "220 remote.test ready")):
                while await self.command(reader, writer):
                    pass

    async def say(self, writer: asyncio.StreamWriter, reply: str, *, hold: bool = False) -> bool:
        if reply == SILENCE:
            await asyncio.sleep(30)
        goes_on = reply not in (HANG_UP, SILENCE)
        self._held += reply.encode("utf-8", "surrogateescape") + b"\r\n" if goes_on else b""
        if not (hold and self._holds and goes_on):
            octets, self._held = self._held, b""
            piece = self._piece or max(1, len(octets))
            for start in range(0, len(octets), piece):
                writer.write(octets[start : start + piece])
                await writer.drain()
                await asyncio.sleep(0)
        return goes_on

    async def command(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = (await reader.readuntil(b"\r\n")).decode().strip()
        self.heard.append(line)
        verb = line.partition(" ")[0].upper()
        if verb == "EHLO":
            lines = ["remote.test", *self.extensions]
            usual = "\r\n".join(f"250{'-' if n < len(lines) - 1 else ' '}{text}" for n, text in enumerate(lines))
            return await self.say(writer, self.answer("EHLO", usual))
        if verb == "STARTTLS":
            said = await self.say(writer, self.answer("STARTTLS", "220 go"))
            if said and "STARTTLS" not in self.says and self.tls is not None:
                await writer.start_tls(self.tls)
                self.extensions = tuple(one for one in self.extensions if one != "STARTTLS")
            return said
        if verb == "RCPT":
            address = line.partition("<")[2].partition(">")[0]
            return await self.say(writer, self.answer(f"RCPT {address}", "250 2.1.5 ok"), hold=True)
        if verb == "DATA":
            reply = self.answer("DATA", "354 go on")
            if not await self.say(writer, reply):
                return False
            if reply.startswith("354"):
                if self.says.get("END") == HANG_UP:
                    await reader.readexactly(3)
                    return False
                self.content = await reader.readuntil(b"\r\n")
                while not (self.content == b".\r\n" or self.content.endswith(b"\r\n.\r\n")):
                    self.content += await reader.readuntil(b"\r\n")
                return await self.say(writer, self.answer("END", "250 2.0.0 queued as 7"))
            return True
        if verb == "QUIT":
            await self.say(writer, "221 bye")
            return False
        return await self.say(writer, self.answer(verb, "250 ok"), hold=verb == "MAIL")


@contextlib.asynccontextmanager
async def remote(
    says: Says | None = None,
    *,
    extensions: tuple[str, ...] = ("SIZE 1000000", "8BITMIME"),
    tls: ssl.SSLContext | None = None,
    holds: bool = False,
    piece: int = 0,
) -> AsyncIterator[tuple[Scripted, Server]]:
    script = Scripted(says or {}, extensions, tls, holds=holds, piece=piece)
    async with serving(script.serve) as port:
        yield script, Server("mx.remote.test", ("127.0.0.1",), port)
