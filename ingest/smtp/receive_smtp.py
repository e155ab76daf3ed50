"""The SMTP dialogue of the receiver (RFC 5321): one connection, its limits, and what it is answered.

aiosmtpd leads the dialogue; here it is made strict (NUL, bare CR and LF are refused) and reads DATA in one piece.
"""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
from aiosmtpd.smtp import SMTP, Session

from contracts import clock, metrics
from contracts.errors import Unavailable
from contracts.ids import new_mail_id
from contracts.raw_message import Envelope, RawType, Refusal
from contracts.settings import Settings
from contracts.statuses import Direction
from ingest.hold_message import MessageHolder
from ingest.smtp.accept_recipient import accept_recipient
from ingest.smtp.await_verdict import VerdictWaiter
from mail.addresses import normalise
from mail.bounce_address import BounceAddresses
from runtime.expose_metrics import counter, gauge, histogram

_log = logging.getLogger("mailscope.smtp")
END_OF_DATA = b"\r\n.\r\n"
TROUBLE = "451 4.3.0 Temporary trouble here, try again later"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_PATH = re.compile(rf"<({_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)>( .*)?")
ACCEPTED = "250 2.0.0 Accepted as {}"


@dataclass
class Connections:
    """Who is connected to this process."""

    open: "set[Receiver]" = field(default_factory=set)
    by_peer: Counter[str] = field(default_factory=Counter)
    draining: bool = False


class Policy:
    """aiosmtpd's handler: the business of MAIL, RCPT and DATA. One for all connections of a process."""

    def __init__(
        self, settings: Settings, holder: MessageHolder, verdicts: VerdictWaiter, bounces: BounceAddresses
    ) -> None:
        self.settings = settings
        self.holder = holder
        self.verdicts = verdicts
        self.bounces = bounces
        # A refusal decided later than this is taken to be too late for the dialogue: the verdict needs time to travel.
        self._deadline = timedelta(seconds=verdicts.timeout * 0.8)
        self._background: set[asyncio.Task[None]] = set()

    async def handle_EHLO(
        self, server: "Receiver", session: Session, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]  # RFC 2920: commands may come in one packet

    async def handle_MAIL(
        self, server: "Receiver", session: Session, envelope: Any, address: str, options: list[str]
    ) -> str:
        if server.connections.draining:
            return "421 4.3.2 Shutting down, come back soon"
        address = "" if address == "<>" else address
        if not _clean(address):
            return "553 5.1.7 The sender's address has characters that no address may have"
        envelope.mail_from = address or "<>"
        envelope.mail_options.extend(options)
        return "250 2.1.0 Sender ok"

    async def handle_RCPT(
        self, server: "Receiver", session: Session, envelope: Any, address: str, options: list[str]
    ) -> str:
        if not _clean(address):
            return "553 5.1.3 The recipient's address has characters that no address may have"
        if len(envelope.rcpt_tos) >= self.settings.smtp.max_recipients:
            return "452 4.5.3 Too many recipients, send the rest in another transaction"
        decision = accept_recipient(address, _sender(envelope), self.settings, self.bounces, clock.now())
        if isinstance(decision, Refusal):
            counter(metrics.SMTP_REFUSED_RECIPIENTS).labels(decision.reason).inc()
            self._log_refusal(session, envelope, address, decision)
            server.unknown_recipients += 1
            if server.unknown_recipients > self.settings.smtp.max_unknown_recipients:
                server.hang_up_after_reply()
                return "421 4.7.0 Too many recipients that do not exist"
            return decision.reply
        if envelope.rcpt_tos and server.policy != decision.policy:
            return "452 4.5.3 This recipient has another policy, send it in another transaction"
        server.policy = decision.policy
        if decision.address not in envelope.rcpt_tos:
            envelope.rcpt_tos.append(decision.address)
        return "250 2.1.5 Recipient ok"

    async def handle_DATA(self, server: "Receiver", session: Session, envelope: Any) -> str:
        message: bytes = envelope.content
        if b"\x00" in message or not message.count(b"\r\n") == message.count(b"\n") == message.count(b"\r"):
            counter(metrics.SMTP_MESSAGES).labels("refused").inc()
            return "550 5.6.0 The message has NUL, or CR or LF that stand alone"
        try:
            reply = await self._hold(session, envelope, message)
        except Unavailable as error:
            _log.error("answered 451: %s", error)
            reply = TROUBLE
        counter(metrics.SMTP_MESSAGES).labels({"2": "accepted", "4": "deferred"}.get(reply[0], "refused")).inc()
        server.commands = 0
        return reply

    async def handle_exception(self, error: Exception) -> str:
        _log.error("answered 451 after a bug", exc_info=error)
        return TROUBLE

    async def _hold(self, session: Session, envelope: Any, message: bytes) -> str:
        mail_id = new_mail_id()
        received_at = clock.now()
        waiting = self.verdicts.waiting
        described = msgspec.structs.replace(
            self._describe(session, envelope, mail_id, received_at, RawType.ACCEPTED),
            recipients=[normalise(address) for address in envelope.rcpt_tos],
            size=len(message),
            verdict_partition=self.verdicts.partition if self.verdicts.timeout > 0 else None,
            verdict_deadline=received_at + self._deadline if waiting else None,
        )
        expected = self.verdicts.expect(mail_id) if waiting else None
        try:
            with histogram(metrics.SMTP_ACK_SECONDS).time():
                await self.holder.hold(described, message)
        except BaseException:
            self.verdicts.forget(mail_id)
            raise
        counter(metrics.SMTP_OCTETS).inc(len(message))
        reply = await self.verdicts.reply_for(mail_id, expected) if expected is not None else None
        return reply or ACCEPTED.format(mail_id)

    def _describe(self, session: Session, envelope: Any, mail_id: str, received_at: Any, type: RawType) -> Envelope:
        tls = session.ssl
        cipher = tls.get("cipher") if isinstance(tls, dict) else None
        protocol = (
            ("UTF8" if getattr(envelope, "smtp_utf8", False) else "E") + "SMTP" if session.extended_smtp else "SMTP"
        )
        return Envelope(
            mail_id=mail_id,
            type=type,
            direction=Direction.INBOUND,
            received_at=received_at,
            envelope_from=_text(_sender(envelope)),
            recipients=[],
            peer_ip=str(session.peer[0]) if session.peer else "",
            helo=_text(session.host_name or ""),
            protocol=protocol + ("S" if tls else ""),
            tls=f"{cipher[1]} {cipher[0]}" if cipher else "",
            receiver=self.settings.authserv_id,
            smtputf8=bool(getattr(envelope, "smtp_utf8", False)),
        )

    def _log_refusal(self, session: Session, envelope: Any, address: str, refusal: Refusal) -> None:
        """A refused recipient is a row of the log too; the dialogue does not wait for it."""
        described = msgspec.structs.replace(
            self._describe(session, envelope, new_mail_id(), clock.now(), RawType.REFUSED),
            recipients=[_text(normalise(address))],
            refusal=refusal,
        )
        task = asyncio.get_running_loop().create_task(self._hold_refusal(described))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _hold_refusal(self, envelope: Envelope) -> None:
        try:
            await self.holder.hold(envelope, b"")
        except Unavailable as error:
            _log.error("a refused recipient is missing from the log: %s", error)

    async def drain(self) -> None:
        """Wait for the refusals that are still being written."""
        if self._background:
            await asyncio.wait(self._background, timeout=2)


class Receiver(SMTP):  # type: ignore[misc]
    """One connection. `reader_limit` octets of a message are read in one piece."""

    command_size_limit = 2048  # RFC 5321 section 4.5.3.1.4 asks for 512; SMTPUTF8 and extensions need more

    def __init__(self, policy: Policy, connections: Connections, **options: Any) -> None:
        super().__init__(policy, **options)
        self.settings = policy.settings.smtp
        self.connections = connections
        self.policy: tuple[object, ...] = ()
        self.unknown_recipients = 0
        self.commands = 0
        self.in_data = False
        self._turned_away = False
        methods: dict[str, Any] = vars(self)["_smtp_methods"]
        self._smtp_methods = {name: partial(self._counted, method) for name, method in methods.items()}

    def connection_made(self, transport: Any) -> None:
        first = self._original_transport is None
        if first:
            peer = str((transport.get_extra_info("peername") or ("",))[0])
            full = len(self.connections.open) >= self.settings.connections
            crowded = self.connections.by_peer[peer] >= self.settings.connections_per_peer
            if full or crowded or self.connections.draining:
                self._turned_away = True
                self._timeout_handle = self.loop.call_later(0, lambda: None)
                transport.write(b"421 4.7.0 Too many connections, come back later\r\n")
                transport.close()
                return
            self.peer = peer
            self.connections.open.add(self)
            self.connections.by_peer[peer] += 1
            gauge(metrics.SMTP_CONNECTIONS).inc()
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._turned_away:
            return
        if self in self.connections.open:
            self.connections.open.discard(self)
            self.connections.by_peer[self.peer] -= 1
            if not self.connections.by_peer[self.peer]:
                del self.connections.by_peer[self.peer]
            gauge(metrics.SMTP_CONNECTIONS).dec()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if not self._turned_away:
            if self.in_data and self._timeout_handle is not None and not self._timeout_handle.cancelled():
                self._reset_timeout()  # a slow message is not an idle connection
            super().data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._turned_away else super().eof_received()

    def hang_up_after_reply(self) -> None:
        """Close the connection when the reply that is being made has been written."""
        self.loop.call_later(0.05, self._close)

    def say_goodbye(self) -> None:
        """The process stops: leave an idle connection with 421 (RFC 5321 section 3.8); one in DATA may finish."""
        if self.transport is not None and not self.in_data:
            self.transport.write(b"421 4.3.2 Shutting down, come back soon\r\n")
            self._close()

    def _close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    async def _counted(self, method: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        self.commands += 1
        if self.commands > self.settings.max_commands:
            await self.push("421 4.7.0 Too many commands without a message")
            self._close()
            return
        await method(*arguments)

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """A path and the parameters behind it. Plain addresses are read here; aiosmtpd's parser of everything else takes a
        third of the receiver's time."""
        plain = _PLAIN_PATH.fullmatch(arg.lstrip())
        if plain is not None:
            return plain[1], (plain[2] or "").strip()
        found: tuple[str | None, str | None] = super()._getaddr(arg)
        return found

    async def smtp_DATA(self, arg: str | None) -> None:
        if await self.check_helo_needed():
            return
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        self.in_data = True
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            message = await self._read_message()
            if message is None:
                counter(metrics.SMTP_MESSAGES).labels("refused").inc()
                reply = f"552 5.3.4 The message is larger than {self.settings.max_size} octets"
            else:
                self.envelope.content = self.envelope.original_content = message
                self._timeout_handle.cancel()  # the wait for Kafka and the verdict is ours, not the sender's
                reply = await self.event_handler.handle_DATA(self, self.session, self.envelope)
                self._reset_timeout()
            self._set_post_data_state()
            await self.push(reply)
        finally:
            self.in_data = False
            if self.connections.draining:
                self._close()

    async def _read_message(self) -> bytes | None:
        """The content with transparency undone (RFC 5321 section 4.5.2); None when it is too large.

        CRLF.CRLF alone ends it. The reader is made to hold all of it, with the CRLF of the DATA line in front, so that one
        search finds the end and one replacement undoes the dots.
        """
        reader = self._reader
        usual = reader._limit
        reader._limit = self.settings.max_size + 4096
        reader._buffer[0:0] = b"\r\n"
        try:
            octets = bytes(await reader.readuntil(END_OF_DATA))
        except asyncio.LimitOverrunError:
            await self._skip_message()
            return None
        finally:
            reader._limit = usual
        message = octets[2 : -len(END_OF_DATA) + 2] if octets != END_OF_DATA else b""
        message = (b"\r\n" + message).replace(b"\r\n..", b"\r\n.")[2:]
        return message if len(message) <= self.settings.max_size else None

    async def _skip_message(self) -> None:
        """Read to the end of a message that is too large, keeping only what may be a part of its end."""
        tail = b""
        while True:
            self._reset_timeout()
            piece = await self._reader.read(1 << 20)
            if not piece:
                raise ConnectionResetError
            tail += piece
            end = tail.find(END_OF_DATA)
            if end >= 0:
                rest = tail[end + len(END_OF_DATA) :]
                self._reader._buffer[0:0] = rest
                return
            tail = tail[-len(END_OF_DATA) + 1 :]


def _sender(envelope: Any) -> str:
    return "" if envelope.mail_from in (None, "<>") else str(envelope.mail_from)


def _clean(address: str) -> bool:
    """No control characters, and no octets that are not UTF-8 (they arrive as surrogates)."""
    return not any(ord(c) < 0x20 or ord(c) == 0x7F or 0xDC80 <= ord(c) <= 0xDCFF for c in address)


def _text(value: str) -> str:
    """The text with octets that are not UTF-8 replaced, so that it can be written as JSON."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
