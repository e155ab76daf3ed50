"""One command of delivery or forwarding: try every target that is not settled, report, and plan what is left."""

import asyncio
from collections import defaultdict

import msgspec

from contracts import clock, metrics
from contracts.errors import InvalidEvent
from contracts.events import Attempt, Dispatch, Outcome
from contracts.raw_message import Envelope
from contracts.records import Record
from contracts.setting_types import is_address, split_smarthost
from contracts.settings import Delivery
from contracts.statuses import Reason
from mail.addresses import split_address
from mail.parse_addresses import to_ascii_domain
from runtime.expose_metrics import counter, histogram
from runtime.resolve_dns import DnsResolver
from sinks.delivery.attempt_smtp import Client, SmtpTransaction, attempt_smtp, refused_here
from sinks.delivery.find_servers import NoServer, Server, find_addresses, find_servers
from sinks.dispatch.conclude import conclude
from sinks.dispatch.fetch_raw import RawReader

MANY_DOMAINS = 10_000


class Deliverer:
    """Delivers commands; at most `per_domain` transactions with one domain at a time."""

    def __init__(self, settings: Delivery, helo: str, raw: RawReader, resolver: DnsResolver) -> None:
        self._settings = settings
        self._raw = raw
        self._resolver = resolver
        self._client = Client(helo, settings.timeout.total_seconds(), settings.bind)
        self._domains: dict[str, asyncio.Semaphore] = {}
        self._slots = asyncio.Semaphore(settings.concurrency)

    async def deliver(self, command: Dispatch) -> list[Record]:
        """Do one attempt; what to publish about it. Waits while Kafka or the blob store is away."""
        pending = [target.address for target in command.targets if target.settled is None]
        by_domain: dict[str, list[str]] = defaultdict(list)
        for address in pending:
            by_domain[split_address(address)[1]].append(address)
        groups = [self._to_domain(domain, group, command) for domain, group in by_domain.items()]
        attempts = [attempt for group in await asyncio.gather(*groups) for attempt in group]
        for attempt in attempts:
            counter(metrics.DELIVERY_ATTEMPTS).labels(command.action, attempt.outcome).inc()
        return conclude(command, attempts, self._settings.retry, self._settings.retry_names)

    async def _content(self, command: Dispatch) -> tuple[Envelope, bytes] | Attempt:
        """The octets to send: our header lines, then the original without what claims to be ours."""
        try:
            envelope, original = await self._raw.read(command.raw)
        except InvalidEvent as why:
            reason = Reason.EXPIRED if clock.now() >= command.expires_at else Reason.INTERNAL_ERROR
            return refused_here(command.attempt, "", Outcome.PERMANENT, str(why), reason, "read")
        for start, end in sorted(command.cut, reverse=True):
            original = original[:start] + original[end:]
        return envelope, command.prepend.encode("utf-8", "surrogateescape") + original

    async def _to_domain(self, domain: str, group: list[str], command: Dispatch) -> list[Attempt]:
        if domain not in self._domains and len(self._domains) > MANY_DOMAINS:
            self._domains = {name: slot for name, slot in self._domains.items() if slot.locked()}
        slot = self._domains.setdefault(domain, asyncio.Semaphore(self._settings.per_domain))
        async with slot, self._slots:
            content = await self._content(command)
            if isinstance(content, Attempt):
                return [msgspec.structs.replace(content, target=address) for address in group]
            with histogram(metrics.DELIVERY_SECONDS).time():
                return await self._try_servers(domain, group, *content, command)

    async def _try_servers(
        self, domain: str, group: list[str], envelope: Envelope, content: bytes, command: Dispatch
    ) -> list[Attempt]:
        try:
            servers = await self._servers(domain)
        except NoServer as why:
            outcome = Outcome.PERMANENT if why.permanent else Outcome.TEMPORARY
            reason = Reason.PRIVATE_ADDRESS if why.private else Reason.INVALID_ADDRESS if why.permanent else None
            return [refused_here(command.attempt, one, outcome, why.text, reason, "lookup") for one in group]
        transaction = SmtpTransaction(
            command.envelope_from, tuple(group), content, _needs_utf8(command, group, envelope, content)
        )
        attempts: list[Attempt] = []
        for server in servers:
            attempts = await attempt_smtp(server, transaction, self._client, command.attempt)
            # The next server is asked only where this one was not there or had no time before it heard of a recipient.
            if any(a.outcome is not Outcome.TEMPORARY or a.command in ("RCPT", "DATA") for a in attempts):
                break
        return attempts

    async def _servers(self, domain: str) -> list[Server]:
        smarthost = self._settings.smarthost
        if smarthost is None:
            name = to_ascii_domain(domain)
            if not name:
                raise NoServer(f"{domain} is no domain name", permanent=True)
            return await find_servers(
                name, self._resolver, self._settings.port, allow_private=self._settings.allow_private
            )
        host, port = split_smarthost(smarthost)
        number = port or self._settings.port
        if is_address(host):
            return [Server(host, (host,), number)]
        if host == "localhost":
            return [Server(host, ("127.0.0.1",), number)]
        # A smarthost is our own configuration: it may well be inside.
        return await find_addresses([host], self._resolver, number, allow_private=True)


def _needs_utf8(command: Dispatch, group: list[str], envelope: Envelope, content: bytes) -> bool:
    """Whether the transaction needs SMTPUTF8 (RFC 6531 section 3.1): an address that is not ASCII, or a header that is not where
    the mail came as such. Raw octets that somebody put into a header of an ordinary mail go on as they came."""
    if not (command.envelope_from.isascii() and all(address.isascii() for address in group)):
        return True
    end = content.find(b"\r\n\r\n")
    return envelope.smtputf8 and not content[: end if end >= 0 else len(content)].isascii()
