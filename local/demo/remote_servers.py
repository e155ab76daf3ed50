"""The mail servers of the remote domains: what they answer depends on the local part, in the words of real servers."""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from local.demo.cast import Domain

LARGEST = 30_000_000  # octets


@dataclass(frozen=True)
class Habit:
    """What a server says to an address whose local part starts with `prefix`; refused `times` times, it is taken."""

    prefix: str
    reply: str
    times: int | None = None  # None: always
    at: str = "rcpt"  # or "data"


HABITS = (
    Habit("gone", "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table"),
    Habit("full", "552 5.2.2 <{address}>: Mailbox is full, quota exceeded"),
    Habit("greylist", "451 4.7.1 <{address}>: Greylisting in action, please come back later", times=2),
    Habit("slow", "421 4.7.0 {host} Too many connections from your network, try again later", times=1),
    Habit("busy", "421 4.3.2 {host} Service shutting down for maintenance, closing channel"),
    Habit(
        "blocked",
        "550 5.7.1 Service unavailable, client host [{peer}] blocked: poor sending reputation, see https://{host}/lookup",
        at="data",
    ),
    Habit("picky", "554 5.6.0 Message content rejected: attachment type not allowed", at="data"),
)


def answer(habits: Sequence[Habit], local_part: str, at: str, seen: int) -> Habit | None:
    """The habit that refuses this address at this step, when it was refused `seen` times before; None: it is taken."""
    for habit in habits:
        if local_part.lower().startswith(habit.prefix) and habit.at == at:
            return habit if habit.times is None or seen < habit.times else None
    return None


class RemoteServer:
    """The MX of one remote domain. `received(recipients, content)` hears of every mail it takes."""

    def __init__(
        self, domain: Domain, port: int, certificate: Path | None, received: Callable[[list[str], bytes], None]
    ) -> None:
        self.domain = domain
        self.host = f"mx.{domain.name}"
        self._port = port
        self._tls = _tls_context(certificate) if certificate and domain.starttls else None
        self._received = received
        self._refusals: Counter[tuple[str, str, str]] = Counter()
        self._taken = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the address or port cannot be had."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, self.domain.receives_at, self._port)

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
    ) -> str:
        """RCPT TO: refuse foreign domains, and own addresses by habit."""
        if address.rpartition("@")[2].lower() != self.domain.name:
            return f"554 5.7.1 <{address}>: Relay access denied"
        if reply := self._refuse(session, envelope, address, "rcpt"):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        """The end of DATA: refuse by habit or take the mail."""
        for address in envelope.rcpt_tos:
            if reply := self._refuse(session, envelope, address, "data"):
                return reply
        self._taken += 1
        content = envelope.original_content or b""
        self._received(list(envelope.rcpt_tos), content)
        return f"250 2.0.0 Ok: queued as {int(time.time()) & 0xFFFFF:X}{self._taken:04X}"

    def _refuse(self, session: Session, envelope: Envelope, address: str, at: str) -> str | None:
        # A real greylist also looks at the sender; ours are told apart by recipient alone, VERP or not.
        known = (str(session.peer[0]), address.lower(), at)
        habit = answer(HABITS, address.rpartition("@")[0], at, self._refusals[known])
        if habit is None:
            self._refusals[known] = 0  # the next mail is greeted anew, so that the demo never runs dry
            return None
        self._refusals[known] += 1
        return habit.reply.format(address=address, host=self.host, peer=session.peer[0])


def _tls_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
