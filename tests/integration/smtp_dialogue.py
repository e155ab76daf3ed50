"""Scripted SMTP dialogues: a text file is a test. It is spoken over a socket with the real protocol; only Kafka is a fake.

    # a comment
    SET smtp.max_size 10000          a setting, before the first line that speaks
    VERDICT 550 5.7.26 no            what the processors say of every message (without it, nobody waits for a verdict)
    HOLDER away                      Kafka is away; `full`: the record is too large; `broken`: a bug of ours
    C: NOOP                          the client says this, with CRLF
    C| .\\r                          the client sends these octets and no more
    S: 250 2.1.0                     the server's next line begins so; `S: /regex/` matches all of it; `S: *` is the rest of a reply
    EOF                              the server has closed the connection
    SILENCE 0.2                      the server says nothing for so many seconds
    PAUSE 0.2                        the client says nothing for so many seconds
    TLS                              the TLS handshake, after STARTTLS
    CONNECTION two                   go on with (or open) another connection
    DRAIN                            the server is told to stop
    HELD <a@x> b@y,c@y Hi\\r\\n       the next message that was held: envelope sender, recipients, content
    REFUSED b@y unknown_recipient    the next refused recipient that was logged

`\\r \\n \\t \\0 \\xff \\\\` are escapes, `{ab*3}` is ababab. What was held or refused and is not named fails the test, as does
anything that the server says and no line expects.
"""

import asyncio
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from contracts import clock
from contracts.errors import InvalidEvent, Unavailable
from contracts.events import Verdict
from contracts.raw_message import Envelope, RawType
from contracts.settings import Settings
from ingest.await_verdict import VerdictWaiter
from ingest.smtp.connections import Connections
from ingest.smtp.read_content import ContentReader
from ingest.smtp.receive_mail import MailReceiver
from ingest.smtp.serve_tls import tls_context
from ingest.smtp.speak_smtp import SmtpConnection
from ingest.smtp.spool import Spool
from mail.bounce_address import BounceAddresses

PATIENCE = 5.0  # seconds for an answer
SETTINGS: dict[str, Any] = {
    "authserv_id": "mx.ours.test",
    "inbound": {
        "domains": {"ours.test": {}, "strict.test": {"reject_on": ["spf-fail"]}},
        "routes": [
            {"match": {"to": "desk@ours.test"}, "drop": "x"},
            {"match": {"to": "team-*@ours.test"}, "drop": "x"},
            {"match": {"to": "postmaster@ours.test"}, "drop": "x"},
            {"match": {"to": "*@strict.test"}, "drop": "x"},
        ],
    },
}
_LINE = re.compile(r"(C:|C\||S:|[A-Z]+) ?(.*)")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[rnt0\\])")


@dataclass
class Holder:
    """What Kafka would hold."""

    waiter: VerdictWaiter
    verdict: str = ""
    trouble: str = ""
    held: list[tuple[Envelope, bytes]] = field(default_factory=list)
    refused: list[Envelope] = field(default_factory=list)

    async def hold(self, envelope: Envelope, message: bytes) -> None:
        if envelope.refusal is not None:
            self.refused.append(envelope)
            return
        if envelope.type is RawType.ANSWERED:  # a note, and no message
            return
        if self.trouble == "away":
            raise Unavailable("Kafka")
        if self.trouble == "full":
            raise InvalidEvent("record_too_large")
        if self.trouble == "broken":
            raise ZeroDivisionError("a secret of ours")
        self.held.append((envelope, message))
        if self.verdict:
            self.waiter.settle(Verdict(mail_id=envelope.mail_id, reply=self.verdict, decided_at=clock.now()))


@dataclass
class Line:
    """One line of a script."""

    number: int
    verb: str
    text: str


def read_script(path: Path) -> list[Line]:
    lines = []
    for number, written in enumerate(path.read_text().splitlines(), 1):
        if written.strip() and not written.startswith("#"):
            match = _LINE.fullmatch(written)
            assert match, f"{path.name}:{number}: what does this line mean?"
            lines.append(Line(number, match[1], match[2]))
    return lines


def octets(text: str) -> bytes:
    """The text with repetitions and escapes written out."""
    text = re.sub(r"\{([^{}]+)\*(\d+)\}", lambda match: match[1] * int(match[2]), text)
    names = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}
    parts, end = [], 0
    for match in _ESCAPE.finditer(text):
        parts += [text[end : match.start()].encode(), names.get(match[1]) or bytes([int(match[1][1:], 16)])]
        end = match.end()
    return b"".join([*parts, text[end:].encode()])


class Dialogue:
    """One script, its server and its clients."""

    def __init__(self, script: list[Line], folder: Path) -> None:
        self._script = script
        settings: dict[str, Any] = {**SETTINGS, "data_dir": str(folder)}
        heads = {line.verb: line.text for line in script if line.verb in ("VERDICT", "HOLDER")}
        settings["smtp"] = {"verdict_timeout": "5s" if "VERDICT" in heads else "0s", "drain_timeout": "500ms"}
        for line in script:
            if line.verb == "SET":
                name, _, value = line.text.partition(" ")
                section, _, key = name.partition(".")
                settings[section][key] = yaml.safe_load(value)
        self._settings = Settings.model_validate(settings)
        waiter = VerdictWaiter(0, self._settings.smtp.verdict_timeout.total_seconds(), 3)
        self._holder = Holder(waiter, heads.get("VERDICT", ""), heads.get("HOLDER", ""))
        self._make, self._stop = serve(self._settings, self._holder, waiter)
        self._streams: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        self._at = ""
        self._background: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        server = await asyncio.get_running_loop().create_server(self._make, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        async with server:
            try:
                await self._speak()
            finally:
                for _, writer in self._streams.values():
                    writer.transport.abort()
                await asyncio.sleep(0.01)  # until the loop has closed them
        assert not self._holder.held, f"held as well: {self._holder.held}"
        assert not self._holder.refused, f"refused as well: {self._holder.refused}"

    async def _speak(self) -> None:
        for line in self._script:
            try:
                await self._play(line)
            except (AssertionError, TimeoutError, OSError) as error:
                raise AssertionError(f"line {line.number}: {line.verb} {line.text[:100]}: {error!r}") from error
        for name, (reader, writer) in self._streams.items():
            assert not (rest := await _whatever_comes(reader, 0.02)), f"not expected on connection {name}: {rest!r}"
            writer.close()
        await asyncio.gather(*self._background)

    async def _play(self, line: Line) -> None:
        if line.verb in ("SET", "VERDICT", "HOLDER"):
            return
        if line.verb == "CONNECTION" or not self._at:
            self._at = line.text if line.verb == "CONNECTION" else "one"
            if self._at not in self._streams:
                self._streams[self._at] = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams[self._at]
        match line.verb:
            case "C:" | "C|":
                writer.write(octets(line.text) + (b"\r\n" if line.verb == "C:" else b""))
                await writer.drain()
            case "S:":
                await _expect(reader, line.text)
            case "EOF":
                async with asyncio.timeout(PATIENCE):
                    assert (rest := await reader.read()) == b"", rest
            case "SILENCE":
                assert not (said := await _whatever_comes(reader, float(line.text))), said
            case "PAUSE":
                await asyncio.sleep(float(line.text))
            case "TLS":
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                await writer.start_tls(context)
            case "CONNECTION":
                pass
            case "DRAIN":
                self._background.append(asyncio.create_task(self._stop()))
                await asyncio.sleep(0)
            case "HELD":
                sender, recipients, content = [*line.text.split(" ", 2), ""][:3]
                envelope, message = self._holder.held.pop(0)
                assert (f"<{envelope.envelope_from}>", envelope.recipients) == (sender, recipients.split(","))
                assert message == octets(content), message[:200]
            case "REFUSED":
                envelope = self._holder.refused.pop(0)
                assert envelope.refusal is not None
                assert [*envelope.recipients, envelope.refusal.reason] == line.text.split(" ")
            case _:
                raise AssertionError(f"there is no {line.verb}")


def serve(
    settings: Settings, holder: Any, waiter: VerdictWaiter
) -> tuple[Callable[[], asyncio.Protocol], Callable[[], Any]]:
    """A factory of connections, and how the server stops."""
    receiver = MailReceiver(settings, holder, waiter, BounceAddresses(b"key"))
    connections = Connections(settings.smtp)
    content = ContentReader(Spool(settings.data_dir / "spool", settings.smtp.max_size), settings.smtp.max_size)
    tls = tls_context(settings)
    return (
        lambda: SmtpConnection(receiver, settings.smtp, connections, content, settings.authserv_id, tls),
        connections.drain,
    )


async def _expect(reader: asyncio.StreamReader, expected: str) -> None:
    async with asyncio.timeout(PATIENCE):
        if expected == "*":
            while (await reader.readline())[3:4] == b"-":
                pass
            return
        said = (await reader.readuntil(b"\r\n")).decode("utf-8", "replace").removesuffix("\r\n")
    if len(expected) > 1 and expected[0] == expected[-1] == "/":
        assert re.fullmatch(expected[1:-1], said), said
    else:
        assert said.startswith(expected), said


async def _whatever_comes(reader: asyncio.StreamReader, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(1000)
    except TimeoutError:
        return b""
