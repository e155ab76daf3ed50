"""Authentication as the app `inbound` runs it: counted, and off its event loop where a message is large."""

import asyncio

from contracts import metrics
from contracts.auth_results import AuthResults
from contracts.raw_message import Envelope
from contracts.settings import Settings
from mail import authentication
from mail.authentication.read_trusted import read_trusted
from mail.parse_headers import Message
from runtime.expose_metrics import counter, histogram
from runtime.resolve_dns import DnsResolver
from runtime.start_thread import start_thread

LARGE = 1 << 20  # octets from which a message is authenticated in a thread: hashing 25 MB would hold up everybody else


class Authenticator:
    """SPF, DKIM, DMARC, ARC and iprev of what was received."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._resolver = self._make_resolver()
        self._aside: asyncio.AbstractEventLoop | None = None
        self._resolver_aside = self._make_resolver()  # a resolver serves one event loop

    async def authenticate(self, envelope: Envelope, octets: bytes, message: Message) -> AuthResults:
        """Always returns results: DNS trouble is temperror. Of a polled mail they are what the channel's trusted server wrote."""
        if envelope.polled:
            channel = self._settings.channels.get(envelope.channel)
            trusted, hops = (channel.trusted_authserv_id, channel.trusted_hops) if channel is not None else ("", 0)
            return read_trusted(message, trusted, hops)
        received = authentication.ReceivedMail(
            raw=octets,
            peer_ip=envelope.peer_ip,
            helo=envelope.helo,
            envelope_from=envelope.envelope_from,
            authserv_id=self._settings.authserv_id,
            now=envelope.received_at.timestamp(),
            message=message,
        )
        with histogram(metrics.AUTHENTICATION_SECONDS).time():
            if len(octets) < LARGE:
                auth = await authentication.authenticate(received, self._resolver)
            else:
                auth = await self._authenticate_aside(received)
        for method in ("spf", "dkim", "dmarc", "arc", "iprev"):
            counter(metrics.AUTHENTICATION_RESULTS).labels(method, getattr(auth, f"{method}_word")).inc()
        return auth

    async def _authenticate_aside(self, received: authentication.ReceivedMail) -> AuthResults:
        """In an event loop of its own: large messages are hashed one after the other, and wait for DNS side by side."""
        if self._aside is None:
            self._aside = asyncio.new_event_loop()
            start_thread("authenticate-large", self._aside.run_forever)
        checks = authentication.authenticate(received, self._resolver_aside)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(checks, self._aside))

    def _make_resolver(self) -> DnsResolver:
        dns = self._settings.dns
        return DnsResolver(dns.nameservers, timeout=dns.timeout.total_seconds(), observe=_observe_dns)


def _observe_dns(rtype: str, status: str, seconds: float, cached: bool) -> None:
    counter(metrics.DNS_QUESTIONS).labels(rtype, status, str(cached).lower()).inc()
    if not cached:
        histogram(metrics.DNS_SECONDS).observe(seconds)
