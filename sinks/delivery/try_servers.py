"""The servers of a domain, one after the other, until one has answered for the recipients. One attempt asks a bounded number of addresses
and ends by a deadline; sessions are kept for the next mail."""

import asyncio
import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from contracts.events import Attempt, Outcome
from sinks.delivery.attempt_smtp import SmtpTransaction, attempt_smtp, not_opened, refused_here
from sinks.delivery.find_servers import Server
from sinks.delivery.keep_sessions import TRANSACTIONS, Sessions
from sinks.delivery.open_session import Identity, NotOpened, Session, open_session
from sinks.delivery.tls_policy import Encryption

MOST_ADDRESSES = 5  # of all servers of a domain, in one attempt
MOST_SESSIONS = 2  # in one attempt: a server that greeted and then had no time, and one more


@dataclass(frozen=True)
class Way:
    """How a destination is served: how its sessions are encrypted, and how many messages one may carry."""

    encryption: Encryption = Encryption.OPPORTUNISTIC
    messages: int = TRANSACTIONS
    dane: bool = True  # what a server's domain demands holds instead

    def to(self, server: Server) -> Encryption:
        """How the sessions with this server are encrypted. DANE comes before MTA-STS (RFC 8461 section 2)."""
        if not self.dane or server.dane is None:
            return self.encryption
        if not server.dane.records and self.encryption is Encryption.VERIFIED:
            return self.encryption  # nothing to verify by DANE: what MTA-STS asks for stays
        return Encryption.DANE


DEFAULT_WAY = Way()


class SmtpClient:
    """Speaks SMTP as `identity`. An attempt may take `seconds` until the content begins to leave."""

    def __init__(self, identity: Identity, seconds: float) -> None:
        self._identity = identity
        self._seconds = seconds
        self.sessions = Sessions()

    async def try_servers(
        self,
        servers: list[Server],
        transaction: SmtpTransaction,
        number: int,
        begin: Callable[[], None],
        way: Way = DEFAULT_WAY,
    ) -> list[Attempt]:
        """One attempt for each recipient, in their order. `begin` is called when the content begins to leave. InvalidEvent when the
        content is gone."""
        sessions = 0
        best: list[Attempt] = []
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                for server, address in candidates(servers):
                    attempts, opened = await self._try(server, address, transaction, number, begin, deadline, way)
                    sessions += opened
                    best = _more_hopeful(best, attempts)
                    if opened and _answered_for_recipients(attempts):
                        return attempts
                    if sessions >= MOST_SESSIONS:
                        break
        except TimeoutError:
            text = f"the attempt was not over within {self._seconds:g} s"
            return best or [
                refused_here(number, one, Outcome.TEMPORARY, text, None, "connect") for one in transaction.recipients
            ]
        return best

    async def _try(
        self,
        server: Server,
        address: str,
        transaction: SmtpTransaction,
        number: int,
        begin: Callable[[], None],
        deadline: asyncio.Timeout,
        way: Way,
    ) -> tuple[list[Attempt], bool]:
        """(attempts, whether a session came about) with one address, over a kept session where there is one."""
        encryption = way.to(server)
        kept = self.sessions.take(server.host, server.port, encryption)
        if kept is not None:
            attempts, alive = await self._transact(kept, server, transaction, number, begin, deadline, way)
            if alive or _answered_for_recipients(attempts):
                return attempts, True
            # It had been closed meanwhile, or wants no more from us: that is no answer to this mail.
        try:
            session = await open_session(server.host, address, server.port, self._identity, encryption, server.dane)
        except NotOpened as error:
            return not_opened(error, transaction.recipients, number, server.host, address, server.port), False
        attempts, _ = await self._transact(session, server, transaction, number, begin, deadline, way)
        return attempts, True

    async def _transact(
        self,
        session: Session,
        server: Server,
        transaction: SmtpTransaction,
        number: int,
        begin: Callable[[], None],
        deadline: asyncio.Timeout,
        way: Way,
    ) -> tuple[list[Attempt], bool]:
        reusable = False
        try:
            attempts, reusable = await attempt_smtp(session, transaction, number, begin, deadline)
            return attempts, reusable
        finally:
            if reusable:
                self.sessions.give(session, server.port, way.to(server), way.messages)
            else:
                session.close()


def candidates(servers: list[Server]) -> Iterator[tuple[Server, str]]:
    """The addresses to ask in one attempt: each once, however it is written, and so many of each server that the others have their turn."""
    share = -(-MOST_ADDRESSES // max(1, len(servers)))
    asked: set[tuple[object, int]] = set()
    for server in servers:
        places = dict.fromkeys((ipaddress.ip_address(one), server.port) for one in server.addresses)
        for place in [place for place in places if place not in asked][:share]:
            if len(asked) < MOST_ADDRESSES:
                asked.add(place)
                yield server, str(place[0])


def _answered_for_recipients(attempts: list[Attempt]) -> bool:
    """Whether this answer stands: the next server is asked only where this one had no time before it heard of a recipient."""
    return any(one.outcome is not Outcome.TEMPORARY or one.command in ("RCPT", "DATA") for one in attempts)


def _more_hopeful(before: list[Attempt], now: list[Attempt]) -> list[Attempt]:
    """Of two servers that both did not take it: one that only has no time now outweighs one that refuses to talk to us."""
    if before and any(one.outcome is Outcome.PERMANENT for one in now) and before[0].outcome is Outcome.TEMPORARY:
        return before
    return now
