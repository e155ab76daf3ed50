"""One command of delivery or forwarding: try every target that is not settled, report, and plan what is left."""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from contracts import clock, metrics
from contracts.errors import ConfigurationError, InvalidEvent
from contracts.events import Attempt, Outcome
from contracts.setting_types import is_address, split_smarthost
from contracts.settings import Delivery
from contracts.statuses import BounceClass, Reason
from mail.addresses import split_address
from mail.bounces.classify import classify
from mail.parse_addresses import to_ascii_domain
from runtime.expose_metrics import counter, histogram
from runtime.fetch_policy import policy_fetcher
from runtime.resolve_dns import DnsResolver
from runtime.suspect_records import SuspectRecords
from sinks.delivery.attempt_smtp import SmtpTransaction, refused_here
from sinks.delivery.find_servers import NoServer, Server, find_addresses, find_servers
from sinks.delivery.keep_sessions import TRANSACTIONS, Sessions
from sinks.delivery.open_session import Identity, to_wire
from sinks.delivery.tls_policy import Encryption, TlsPolicies, TlsPolicy
from sinks.delivery.try_servers import SmtpClient, Way
from sinks.dispatch.fetch_raw import RawReader
from sinks.dispatch.job import Done, Job
from sinks.dispatch.limit_large import LargeMessages
from sinks.dispatch.report_attempt import report_attempt

MOST_TOLD = 20  # targets of a command beyond which their servers are not told: its report has to fit into a record


class Deliverer:
    """Delivers commands. How many at a time, and to whom, is the lanes' business (sinks/dispatch)."""

    def __init__(
        self, settings: Delivery, helo: str, raw: RawReader, resolver: DnsResolver, suspects: SuspectRecords
    ) -> None:
        """ConfigurationError when the smarthost's password cannot be read."""
        self._settings = settings
        self._raw = raw
        self._resolver = resolver
        self._suspects = suspects
        timeout = settings.timeout.total_seconds()
        identity = Identity(helo, timeout, settings.bind, _login(settings), settings.ca_file)
        trust = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file is not None else None
        fetch = policy_fetcher(resolver, allow_private=settings.allow_private, trust=trust)
        self._policies = TlsPolicies(settings, resolver, fetch)
        self._client = SmtpClient(identity, settings.attempt_timeout.total_seconds())
        self._large = LargeMessages(settings.memory)

    @property
    def sessions(self) -> Sessions:
        """The sessions that are kept open."""
        return self._client.sessions

    async def deliver(self, job: Job) -> Done:
        """Do one attempt; what to publish about it. NotNow while too many large messages are in hand."""
        command = job.command
        expired = clock.now() >= command.expires_at  # then nothing is read
        with self._large.hold(0 if expired else command.mail.size, command.parked):
            attempts = await self._attempt(job)
        for attempt in attempts:
            counter(metrics.DELIVERY_ATTEMPTS).labels(command.action, attempt.outcome).inc()
        records = report_attempt(
            command,
            job.key,
            attempts,
            self._settings.retry,
            self._settings.retry_names,
            delay_notice=self._settings.delay_notice,
        )
        silent = [
            one for one in attempts if not one.code and one.outcome is Outcome.TEMPORARY and one.command != "DATA"
        ]
        nobody = len(silent) == len(attempts)
        return Done(
            records,
            answered=not nobody,
            why=_why(silent[0]) if nobody else "",
            too_fast=any(_is_too_fast(attempt) for attempt in attempts),
        )

    async def _attempt(self, job: Job) -> list[Attempt]:
        command = job.command
        content = _Content(lambda: self._content(job))
        by_domain: dict[str, list[str]] = defaultdict(list)
        for target in command.targets:
            if target.settled is None:
                by_domain[split_address(target.address)[1]].append(target.address)
        if clock.now() >= command.expires_at:
            text = "its time was over before it could be tried"
            return [
                refused_here(command.attempt, one, Outcome.PERMANENT, text, Reason.EXPIRED, "wait")
                for group in by_domain.values()
                for one in group
            ]
        groups = [self._to_domain(domain, tuple(group), job, content) for domain, group in by_domain.items()]
        with histogram(metrics.DELIVERY_SECONDS).time():
            if len(groups) == 1:
                return await groups[0]
            answered = await asyncio.gather(*groups, return_exceptions=True)
        for one in answered:  # a bug in one group: told when all have ended, so that none goes on unseen
            if isinstance(one, BaseException):
                raise one
        return [attempt for group in answered if not isinstance(group, BaseException) for attempt in group]

    async def _to_domain(self, domain: str, group: tuple[str, ...], job: Job, content: "_Content") -> list[Attempt]:
        command = job.command
        name = to_ascii_domain(domain) or domain
        policy = await self._policies.of(name) if self._settings.smarthost is None else TlsPolicy()
        try:
            servers = [server for server in await self._servers(domain) if policy.allows(server.host)]
            if not servers:
                raise NoServer(f"no server of {domain} is one that its MTA-STS policy allows", permanent=False)
        except NoServer as why:
            outcome = Outcome.PERMANENT if why.permanent else Outcome.TEMPORARY
            reason = Reason.UNROUTABLE if why.private else Reason.INVALID_ADDRESS if why.permanent else None
            return [refused_here(command.attempt, one, outcome, why.text, reason, "lookup") for one in group]
        transaction = SmtpTransaction(
            command.envelope_from,
            group,
            command.mail.size + len(command.prepend),
            content.octets,
            command.smtputf8 or not (command.envelope_from + "".join(group)).isascii(),
        )
        try:
            return _with_servers(
                await self._client.try_servers(
                    servers, transaction, command.attempt, job.begin, self._way(name, policy)
                ),
                servers if len(command.targets) <= MOST_TOLD and self._settings.smarthost is None else [],
            )
        except InvalidEvent as why:  # the message is gone, or kills whoever reads it
            reason = Reason.EXPIRED if clock.now() >= command.expires_at else Reason.INTERNAL_ERROR
            return [refused_here(command.attempt, one, Outcome.PERMANENT, str(why), reason, "read") for one in group]

    def _way(self, domain: str, policy: TlsPolicy) -> Way:
        given = self._settings.destinations.get(domain)
        encryption, dane = policy.encryption, not policy.is_ours
        if self._settings.smarthost is not None and given is not None and given.tls is not None:
            encryption = Encryption(given.tls)
        return Way(encryption, given.messages or TRANSACTIONS if given is not None else TRANSACTIONS, dane)

    async def _content(self, job: Job) -> bytes:
        """The octets as they travel: our header lines, then the original without what claims to be ours. InvalidEvent when it is gone, or
        this process has died several times while it made them: here a message takes its memory."""
        command = job.command
        _, original = await self._raw.read(command.raw)
        async with self._suspects.in_work(job.source):
            for start, end in sorted(command.cut, reverse=True):
                original = original[:start] + original[end:]
            return to_wire(command.prepend.encode("utf-8", "surrogateescape") + original)

    async def _servers(self, domain: str) -> list[Server]:
        smarthost = self._settings.smarthost
        if smarthost is None:
            name = to_ascii_domain(domain)
            if not name:
                raise NoServer(f"{domain} is no domain name", permanent=True)
            return await find_servers(
                name,
                self._resolver,
                self._settings.port,
                allow_private=self._settings.allow_private,
                dane=self._settings.dane,
            )
        host, port = split_smarthost(smarthost)
        number = port or self._settings.port
        if is_address(host):
            return [Server(host, (host,), number)]
        if host == "localhost":
            return [Server(host, ("127.0.0.1",), number)]
        # A smarthost is our own configuration: it may well be inside.
        return await find_addresses([host], self._resolver, number, allow_private=True)


def _with_servers(attempts: list[Attempt], servers: list[Server]) -> list[Attempt]:
    """The attempts, the first of which names the servers of its domain."""
    return [replace(attempts[0], servers=[one.host for one in servers]), *attempts[1:]] if attempts else []


def _is_too_fast(attempt: Attempt) -> bool:
    """Whether the server asks us to slow down: it has no time, or limits what one sender may bring."""
    if attempt.outcome is not Outcome.TEMPORARY or not attempt.code:
        return False
    return attempt.code == 421 or classify(attempt).bounce_class is BounceClass.RATE_LIMITED


def _login(settings: Delivery) -> tuple[str, str] | None:
    if settings.smarthost_password_file is None:
        return None
    try:
        first = settings.smarthost_password_file.read_text("utf-8").splitlines()[0].strip()
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise ConfigurationError(
            f"delivery.smarthost_password_file: {settings.smarthost_password_file} cannot be read: {error}"
        ) from error
    return settings.smarthost_user, first


class _Content:
    """The content of one command, for all its domains: made when the first one asks for it."""

    def __init__(self, make: Callable[[], Awaitable[bytes]]) -> None:
        self._make = make
        self._turn = asyncio.Lock()
        self._made: bytes | InvalidEvent | None = None

    async def octets(self) -> bytes:
        """InvalidEvent when it cannot be had, then for all."""
        async with self._turn:
            if self._made is None:
                try:
                    self._made = await self._make()
                except InvalidEvent as why:
                    self._made = why
        if isinstance(self._made, InvalidEvent):
            raise self._made
        return self._made


def _why(silent: Attempt) -> str:
    who = f"{silent.host} ({silent.ip})" if silent.ip else silent.host or "its domain"
    return f"{who} did not answer at {clock.rfc3339(silent.started_at)}: {silent.text}"[:500]
