"""SMTP (RFC 5321): one connection, its limits, and the dialogue. What is answered to a mail is its purpose's (`transaction.py`).

aiosmtpd leads the dialogue; here it is made strict (NUL, bare CR and LF are refused) and reads the content in one piece
(`read_content.py`).
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Session, TLSSetupException

from contracts import metrics
from contracts.raw_message import Refusal
from contracts.settings import Smtp
from ingest.smtp.connections import Connections
from ingest.smtp.know_users import Logins
from ingest.smtp.read_content import ContentReader, ContentRefused
from ingest.smtp.read_notices import NO_OPTIONS, OF_MAIL, OF_RECIPIENT, take_options
from ingest.smtp.time_content import ContentClock
from ingest.smtp.transaction import TROUBLE, Peer, Purpose, Transaction
from runtime.budget_octets import Hold, OctetBudget
from runtime.expose_metrics import counter

_log = logging.getLogger("mailscope.smtp")
FAILED_LOGIN, MOST_DELAY = 0.5, 8.0  # seconds that the next try waits, doubled each time, and the most
GUESSES = "Too many recipients that do not exist"
SHUTTING_DOWN = "421 4.3.2 Shutting down, come back soon"
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_PATH = re.compile(rf"<({_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)>( .*)?")


class _Hooks:
    """What aiosmtpd asks when it has read a command that is well formed."""

    async def handle_EHLO(
        self, server: "SmtpConnection", session: Session, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        if not server.takes_logins:
            responses = [line for line in responses if not line.startswith("250-AUTH")]
        ours = ["250-PIPELINING"]  # RFC 2920: commands may come in one packet
        ours += ["250-DSN"] if server.purpose.offers_notices else []  # RFC 3461
        return [*responses[:-1], *ours, responses[-1]]

    async def handle_MAIL(
        self, server: "SmtpConnection", session: Session, envelope: Any, address: str, options: list[str]
    ) -> str:
        reply = server.begin("" if address == "<>" else address)
        if reply[0] == "2":
            envelope.mail_from = address or "<>"
        return reply

    async def handle_RCPT(
        self, server: "SmtpConnection", session: Session, envelope: Any, address: str, options: list[str]
    ) -> str:
        reply, delay = server.add_recipient(address)
        if delay:
            await asyncio.sleep(delay)
        return reply

    async def handle_exception(self, error: Exception) -> str:
        _log.error("answered 451 after a bug", exc_info=error)
        return TROUBLE


_HOOKS = _Hooks()


class SmtpConnection(SMTP):  # type: ignore[misc]
    """One connection."""

    command_size_limit = 2048  # RFC 5321 section 4.5.3.1.4 asks for 512; SMTPUTF8 and extensions need more

    def __init__(
        self,
        purpose: Purpose,
        settings: Smtp,
        connections: Connections,
        content: ContentReader,
        hostname: str,
        tls: ssl.SSLContext | None,
        logins: Logins | None = None,
    ) -> None:
        """`logins`: who may log in, and then has to, over TLS only (RFC 4954); None: nobody can."""
        super().__init__(
            _HOOKS,
            hostname=hostname,
            ident="ESMTP Mailscope",
            data_size_limit=settings.max_size,
            enable_SMTPUTF8=True,
            tls_context=tls,
            auth_required=logins is not None,
            authenticator=self._check_login,
            timeout=settings.idle_timeout.total_seconds(),
            loop=asyncio.get_running_loop(),
        )
        self.settings = settings
        self.purpose = purpose
        self.connections = connections
        self.transaction: Transaction | None = None
        self.takes_logins = logins is not None
        self._logins = logins
        self._failed_logins = 0
        self.in_data = False
        self._content_reader = content
        self.source = ""  # the peer's address, where a proxy has named it
        self._ip = ""
        self._memory: OctetBudget | None = None  # None: turned away at the door
        self._content: ContentClock | None = None  # while content is read: a slow message is not an idle connection
        self._idle_timeout = settings.idle_timeout.total_seconds()
        self._data_timeout = settings.data_timeout.total_seconds()
        self._commands = 0
        self._refusals = 0
        self._takes: frozenset[str] = frozenset()  # names of options that the command in hand may have
        self._options = NO_OPTIONS
        self._guesses = False  # it has asked for many that do not exist: it hears of no further one
        self._hanging_up = False
        methods: dict[str, Any] = vars(self)["_smtp_methods"]
        self._smtp_methods = {name: partial(self._obey, method) for name, method in methods.items()}

    # The connection

    def connection_made(self, transport: Any) -> None:
        if self._original_transport is None:  # not the second one, which STARTTLS makes
            ip = self.source or str((transport.get_extra_info("peername") or ("",))[0])
            self._memory = self.connections.enter(self, ip)
            if self._memory is None:
                self._timeout_handle = self.loop.call_later(0, lambda: None)
                transport.write(b"421 4.7.0 Too many connections, come back later\r\n")
                transport.close()
                return
            self._ip = ip
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._memory is not None:
            self.connections.leave(self, self._ip)
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self._memory is not None:
            if self._content is not None:
                self._content.hear(self.loop.time(), len(data))
            super().data_received(data)

    def eof_received(self) -> bool:
        """False lets the transport close: a client that leaves before its first reply would else stay until it is idle for long."""
        if self._memory is not None:
            super().eof_received()
        return False

    def say_goodbye(self) -> None:
        """The process stops: leave an idle connection with 421 (RFC 5321 section 3.8); one in DATA may finish."""
        if self.transport is not None and not self.in_data:
            self.transport.write(f"{SHUTTING_DOWN}\r\n".encode())
            self._close()

    def _close(self) -> None:
        """Close when what was written is sent. What is still unread is not obeyed."""
        if self.transport is not None:
            self._reader._buffer.clear()
            self._handler_coroutine.cancel()
            self.transport.close()

    # The dialogue

    async def _obey(self, method: Callable[..., Awaitable[None]], argument: str | None) -> None:
        self._commands += 1
        if self._commands > self.settings.max_commands:
            await self.push("421 4.7.0 Too many commands without a message")
            self._hanging_up = True
        else:
            await method(argument)
        if self._hanging_up:
            self._close()

    def _set_post_data_state(self) -> None:
        super()._set_post_data_state()
        self.transaction = None

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """A path and the parameters behind it. Plain addresses are read here; aiosmtpd's parser of everything else takes a
        third of the receiver's time."""
        plain = _PLAIN_PATH.fullmatch(arg.lstrip())
        found: tuple[str | None, str | None] = (
            (plain[1], (plain[2] or "").strip()) if plain is not None else super()._getaddr(arg)
        )
        address, parameters = found
        if parameters and self._takes:  # aiosmtpd knows none of them, and would write them in capitals
            parameters, self._options = take_options(parameters, self._takes)
        return address, parameters

    async def smtp_MAIL(self, arg: str | None) -> None:
        self._takes, self._options = OF_MAIL if self.purpose.offers_notices else frozenset(), NO_OPTIONS
        await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:
        self._takes, self._options = OF_RECIPIENT if self.purpose.offers_notices else frozenset(), NO_OPTIONS
        await super().smtp_RCPT(arg)

    async def smtp_AUTH(self, arg: str | None) -> None:
        if self._logins is None:
            await self.push("502 5.5.1 There is nothing to log in to")
            return
        if self.connections.peers.has_guessed(self._ip):
            await self.push("421 4.7.0 Too many log-ins that failed, come back later")
            self._hanging_up = True
            return
        if self._failed_logins:
            await asyncio.sleep(min(FAILED_LOGIN * 2**self._failed_logins, MOST_DELAY))
        await super().smtp_AUTH(arg)

    def _check_login(self, _server: SMTP, _session: Session, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        user = data.login.decode("utf-8", "replace")
        if self._logins is not None and self._logins.knows(user, data.password):
            self._failed_logins = 0
            return AuthResult(success=True, auth_data=user)
        self._failed_logins += 1
        counter(metrics.SMTP_LIMITED).labels("logins").inc()
        _log.warning("a log-in as %r from %s failed", user[:100], self._ip)
        self.connections.peers.refuse_recipient(self._ip)
        return AuthResult(success=False, handled=False)

    def begin(self, envelope_from: str) -> str:
        """The reply to MAIL."""
        if self.connections.draining:
            return SHUTTING_DOWN
        if self._guesses:
            self._hanging_up = True
            return f"421 4.7.0 {GUESSES}"
        if not _is_clean(envelope_from):
            return "553 5.1.7 The sender's address has characters that no address may have"
        begun = self.purpose.mail(self._describe_peer(), envelope_from, self._options)
        if isinstance(begun, str):
            return begun
        self.transaction = begun
        return "250 2.1.0 Sender ok"

    def add_recipient(self, address: str) -> tuple[str, float]:
        """The reply to RCPT, and the seconds until it is given."""
        assert self.transaction is not None  # aiosmtpd refuses RCPT without MAIL
        if not _is_clean(address):
            return "553 5.1.3 The recipient's address has characters that no address may have", 0
        if len(self.transaction.recipients) >= self.settings.max_recipients:
            return "452 4.5.3 Too many recipients, send the rest in another transaction", 0
        if self._guesses:
            return self._no_further(), 0
        reply = self.transaction.rcpt(address, self._options)
        if not isinstance(reply, Refusal):
            return reply, 0
        self._refusals += 1
        enough = not self.connections.peers.refuse_recipient(self._ip)
        if enough or self._refusals > self.settings.max_unknown_recipients:
            self._guesses = True
            return self._no_further(), 0
        return reply.reply, self.connections.peers.delay(self._ip)

    def _no_further(self) -> str:
        """The reply to whoever guesses. A list server with many old addresses brings its message to those that were taken all the same."""
        assert self.transaction is not None
        if self.transaction.recipients:
            return f"452 4.5.3 {GUESSES}, send the rest in another transaction"
        self._hanging_up = True
        return f"421 4.7.0 {GUESSES}"

    def _describe_peer(self) -> Peer:
        tls = self.session.ssl
        cipher = tls.get("cipher") if isinstance(tls, dict) else None
        smtputf8 = bool(self.envelope.smtp_utf8)
        user = str(self.session.auth_data or "") if self.session.authenticated else ""
        protocol = ("UTF8" if smtputf8 else "E") + "SMTP" if self.session.extended_smtp else "SMTP"
        return Peer(
            ip=self._ip,
            helo=_decodable(self.session.host_name or ""),
            protocol=protocol + ("S" if tls else "") + ("A" if user else ""),
            tls=f"{cipher[1]} {cipher[0]}" if cipher else "",
            smtputf8=smtputf8,
            user=user,
        )

    async def smtp_STARTTLS(self, arg: str | None) -> None:
        try:
            await super().smtp_STARTTLS(arg)
        except TLSSetupException as error:  # a client's matter: one line, and aiosmtpd would go on to answer it
            _log.warning("no TLS with %s: %s", self._ip, error.__cause__ or "the handshake failed")
            self.transport.close()
            self.connection_lost(error)  # nobody else says so where TLS never began

    # The content

    async def smtp_DATA(self, arg: str | None) -> None:
        if await self.check_helo_needed():
            return
        if self.transaction is None or not self.transaction.recipients:
            await self.push("503 5.5.1 Error: need RCPT command")
            return
        if arg:
            await self.push("501 5.5.4 Syntax: DATA")
            return
        self.in_data = True
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            reply = await self._take_message(self.transaction)
            counter(metrics.SMTP_MESSAGES).labels({"2": "accepted", "4": "deferred"}.get(reply[0], "refused")).inc()
            self.connections.peers.bring_message(self._ip, taken=reply[0] == "2")
            self._set_post_data_state()
            await self.push(reply)
        finally:
            self.in_data = False
            if self.transport is not None:
                self._reset_timeout()
            if self.connections.draining:
                self._close()

    async def _take_message(self, transaction: Transaction) -> str:
        assert self._memory is not None
        with self._memory.growing() as hold:
            try:
                message = await self._read_content(hold)
            except ContentRefused as refused:
                return refused.reply
            if b"\x00" in message or not message.count(b"\r\n") == message.count(b"\n") == message.count(b"\r"):
                return "550 5.6.0 The message has NUL, or CR or LF that stand alone"
            reply = await transaction.hold(message)
            del message  # who waits for a verdict needs no memory
        reply = reply or await transaction.verdict()
        self._commands = 0
        return reply

    async def _read_content(self, hold: Hold) -> bytes:
        now = self.loop.time()
        self._content = ContentClock(now, self._data_timeout, self._idle_timeout, self.settings.min_rate)
        self._reset_timeout(self._content.next_look(now))
        try:
            content = await self._content_reader.read(self._reader, hold)
        finally:
            self._content = None
            self._timeout_handle.cancel()  # from here on the sender waits for us
        return content if isinstance(content, bytes) else await self._content_reader.load(content, hold)

    def _timeout_cb(self) -> None:
        """aiosmtpd's timer: the connection is idle, unless there is content on its way, which has a deadline of its own."""
        now = self.loop.time()
        if self._content is None:
            super()._timeout_cb()
        elif self._content.is_late(now):
            counter(metrics.SMTP_MESSAGES).labels("deferred").inc()
            self.transport.write(b"421 4.4.2 The message took too long to arrive\r\n")
            self._close()
        elif self._content.is_silent(now):
            super()._timeout_cb()
        else:
            self._reset_timeout(self._content.next_look(now))


def _is_clean(address: str) -> bool:
    """No control characters, and no octets that are not UTF-8 (they arrive as surrogates)."""
    return not any(ord(c) < 0x20 or ord(c) == 0x7F or 0xDC80 <= ord(c) <= 0xDCFF for c in address)


def _decodable(value: str) -> str:
    """The text with octets that are not UTF-8 replaced, so that it can be written as JSON."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
