"""A remote mail server: it takes what it is not told to refuse. Those of the demo refuse by habit."""

import asyncio
import itertools
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from local.demo.cast import Domain
from local.demo.habits import Habits

LARGEST = 80_000_000  # octets

Refuse = Callable[[str, str, str], str | bytes | None]  # (rcpt or data, address, peer) -> the refusal; None: take it


@dataclass(frozen=True)
class Arrived:
    """A message that a remote server took."""

    mail_from: str
    recipients: list[str]
    content: bytes


class RemoteServer:
    """One server. `received` hears of every mail it takes."""

    def __init__(
        self,
        host: str,
        address: tuple[str, int],
        refuse: Refuse,
        received: Callable[[Arrived], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host = host
        self._address = address
        self._refuse = refuse
        self._received = received
        self._tls = tls
        self._taken = itertools.count(1)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the address or port cannot be had."""
        self._server = await asyncio.get_running_loop().create_server(self._session, *self._address)

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    def _session(self) -> SMTP:
        return SMTP(
            self,
            hostname=self.host,
            ident="ESMTP",
            enable_SMTPUTF8=True,
            tls_context=self._tls,
            data_size_limit=LARGEST,
        )

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str | bytes:
        """RCPT TO."""
        if reply := self._refuse("rcpt", address, session.peer[0]):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str | bytes:
        """The end of DATA."""
        for address in envelope.rcpt_tos:
            if reply := self._refuse("data", address, session.peer[0]):
                return reply
        self._received(Arrived(envelope.mail_from or "", list(envelope.rcpt_tos), envelope.original_content or b""))
        return f"250 2.0.0 Ok: queued as {int(time.time()) & 0xFFFFF:X}{next(self._taken):04X}"


def demo_server(
    domain: Domain, port: int, certificate: Path | None, received: Callable[[Arrived], None]
) -> RemoteServer:
    """The MX of one domain of the demo."""
    host = f"mx.{domain.name}"
    tls = _tls_context(certificate) if certificate and domain.starttls else None
    return RemoteServer(host, (domain.receives_at, port), Habits(domain.name, host).refuse, received, tls)


def _tls_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
