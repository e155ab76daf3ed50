"""A connection to one address of a remote server, greeted and encrypted where it can be (RFC 5321 section 3.1, RFC 3207, RFC 7435)."""

import asyncio
import ssl
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPException, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import COMMAND_INJECTION_REGEX, PERIOD_REGEX, normalize_message_line_endings
from aiosmtplib.response import SMTPResponse

from sinks.delivery.dane import Dane, chain_of
from sinks.delivery.read_replies import Replies
from sinks.delivery.tls_policy import Encryption

CONNECT = 30.0  # seconds for the connection and the greeting
TROUBLE = (
    SMTPException,
    OSError,
    asyncio.IncompleteReadError,
    ssl.SSLError,
    ValueError,
)  # all that a remote server can cause


@dataclass(frozen=True)
class Identity:
    """How we present ourselves. `timeout` (seconds) is for the answer to one command."""

    helo: str
    timeout: float
    bind: str | None
    login: tuple[str, str] | None = None  # user and password, at a smarthost
    ca_file: Path | None = None  # whose certificates are verified ones; None: the system's


class NotOpened(Exception):
    """No session came about: at which step, and the server's answer (`code` 0: there was none, `text` says what happened)."""

    def __init__(self, step: str, code: int, text: str) -> None:
        super().__init__(f"{step}: {code} {text}")
        self.step = step
        self.code = code
        self.text = text


class Session(SMTP):
    """One connection; it may carry many transactions, one at a time."""

    def __init__(self, host: str, address: str, port: int, identity: Identity) -> None:
        super().__init__(
            hostname=address,
            port=port,
            local_hostname=identity.helo,
            timeout=identity.timeout,
            source_address=(identity.bind, 0) if identity.bind else None,
            start_tls=False,
        )
        self.host = host
        self.address = address
        self.tls = ""  # such as "TLSv1.3 TLS_AES_256_GCM_SHA384"; "" is a connection in the clear
        self.transactions = 0
        self.idle_since = 0.0
        self._replies: Replies | None = None

    @property
    def is_connected(self) -> bool:
        """Whether neither side has closed it."""
        return super().is_connected and not (self._replies is not None and self._replies.closed)

    def begin(self) -> None:
        """From now on it is spoken with `say` and `hear`: it is greeted and, where it can be, encrypted."""
        transport: Any = self.transport
        self._replies = Replies(transport)
        transport.set_protocol(self._replies)
        self.idle_since = time.monotonic()

    def say(self, *commands: bytes) -> None:
        """Send commands; as many replies have to be heard. Several at a time only where the server offers PIPELINING (RFC 2920).
        What came before is no answer to them. ValueError for a command that would be two."""
        for command in commands:
            if COMMAND_INJECTION_REGEX.search(command):
                raise ValueError("Command arg contains a prohibited control character")
        self.send(b"".join(command + b"\r\n" for command in commands))

    def send(self, octets: bytes) -> None:
        """Send octets as they are, such as the content (`to_wire`); one reply has to be heard."""
        transport: Any = self.transport
        if not self.is_connected or self._replies is None:
            raise SMTPServerDisconnected("Connection lost")
        self._replies.forget()
        transport.write(octets)

    async def hear(self, seconds: float | None = None) -> SMTPResponse:
        """The next reply, within the session's time for a command or so many `seconds`."""
        if self._replies is None:
            raise SMTPServerDisconnected("Connection lost")
        return await self._replies.next(self.timeout if seconds is None else seconds)


def to_wire(content: bytes) -> bytes:
    """Content as it follows DATA: lines end with CRLF, a leading period is doubled, and a line with one alone is the end (RFC 5321
    section 4.5.2)."""
    ends = content.count(b"\r\n")
    if not (content.count(b"\n") == content.count(b"\r") == ends and content.endswith(b"\r\n")):  # most are right
        content = normalize_message_line_endings(content)
    if content.startswith(b".") or b"\n." in content:
        content = PERIOD_REGEX.sub(b"..", content)
    return content + b".\r\n"


async def open_session(
    host: str,
    address: str,
    port: int,
    identity: Identity,
    encryption: Encryption = Encryption.OPPORTUNISTIC,
    dane: Dane | None = None,
) -> Session:
    """A session with one address. Opportunistic encryption that cannot be had does not stop the mail: it goes in the clear then (RFC 7435).
    With a login, nothing goes before the server has taken it, and that only encrypted."""
    if identity.login is not None and encryption is Encryption.OPPORTUNISTIC:
        encryption = Encryption.REQUIRED
    try:
        return await _open(host, address, port, identity, encryption, dane)
    except NotOpened as error:
        if error.step != "STARTTLS" or encryption is not Encryption.OPPORTUNISTIC:
            raise
    return await _open(host, address, port, identity, None)


async def _open(
    host: str, address: str, port: int, identity: Identity, encryption: Encryption | None, dane: Dane | None = None
) -> Session:
    """`encryption` None: in the clear."""
    session = Session(host, address, port, identity)
    step = "connect"
    opened = False
    try:
        await session.connect(timeout=min(CONNECT, identity.timeout))
        step = "EHLO"
        await session._ehlo_or_helo_if_needed()
        if encryption is not None and session.supports_extension("starttls"):
            step = "STARTTLS"
            verified = encryption is Encryption.VERIFIED
            context = _verifying(identity.ca_file) if verified else _opportunistic()
            await session.starttls(tls_context=context, server_hostname=host)
            if encryption is Encryption.DANE and dane is not None:
                dane.verify(chain_of(session.get_transport_info("ssl_object")), host)
                verified = bool(dane.records)
            cipher = session.get_transport_info("cipher")
            session.tls = f"{cipher[1]} {cipher[0]}{' verified' if verified else ''}" if cipher else ""
            step = "EHLO"
            await session.ehlo()
        elif encryption not in (None, Encryption.OPPORTUNISTIC):
            raise NotOpened("STARTTLS", 0, f"{host} offers no TLS, and none is sent in the clear there")
        if identity.login is not None:
            step = "AUTH"
            await session.login(*identity.login)
        opened = True
    except SMTPResponseException as error:
        raise NotOpened(step, error.code, error.message) from error
    except TROUBLE as error:
        raise NotOpened(step, 0, f"{type(error).__name__}: {error}") from error
    finally:
        if not opened:  # also when cancelled
            session.close()
    session.begin()
    return session


@cache
def _opportunistic() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@cache
def _verifying(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)
