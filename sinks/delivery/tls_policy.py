"""How a destination has to be encrypted: as the settings say, or as the domain itself demands (MTA-STS, RFC 8461).

A policy that was fetched holds for its `max_age`, whatever DNS says meanwhile: that is its point. Where DNS names another id it is fetched
anew, and where it cannot be had, what is known holds. Bounded: the domains asked longest ago are forgotten.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from contracts.dns_answers import Resolver
from contracts.settings import Delivery
from mail.authentication.parse_tags import TagError, parse_tags
from mail.sts_policy import StsPolicy, parse_policy

_log = logging.getLogger("mailscope.delivery")
MOST_DOMAINS = 10_000
LOOK_AGAIN = 300.0  # seconds after which DNS is asked for the id again
FETCH = 10.0  # seconds that a policy may take; the mail waits for it


class Encryption(StrEnum):
    OPPORTUNISTIC = "opportunistic"  # encrypted where the server offers it, with any certificate (RFC 7435)
    REQUIRED = "required"  # encrypted, with any certificate
    VERIFIED = "verified"  # encrypted, and the certificate names the server and is of an authority that we know
    DANE = "dane"  # encrypted, and the certificate is one that the server's domain has published (RFC 7672)


@dataclass(frozen=True)
class TlsPolicy:
    """What holds for one destination; `sts` where the domain itself demands it."""

    encryption: Encryption = Encryption.OPPORTUNISTIC
    sts: StsPolicy | None = None
    is_ours: bool = False  # set by our own settings, before which nothing else counts

    def allows(self, host: str) -> bool:
        """Whether mail may go to this server at all."""
        return self.sts is None or self.sts.covers(host)


@dataclass
class _Known:
    id: str = ""
    policy: StsPolicy | None = None
    until: float = 0.0  # of the policy
    look_at: float = 0.0  # when DNS is asked again
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)


class TlsPolicies:
    """The policies of all destinations. `fetch` gets the policy file of a host (OSError when it cannot)."""

    def __init__(self, settings: Delivery, resolver: Resolver, fetch: Callable[[str], Awaitable[str]]) -> None:
        self._settings = settings
        self._resolver = resolver
        self._fetch = fetch
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def of(self, domain: str) -> TlsPolicy:
        """What holds for a domain now."""
        configured = self._settings.destinations.get(domain)
        if configured is not None and configured.tls is not None:
            return TlsPolicy(Encryption(configured.tls), is_ours=True)
        if not self._settings.mta_sts:
            return TlsPolicy()
        policy = await self._sts(domain)
        if policy is None or policy.mode != "enforce":
            return TlsPolicy()
        return TlsPolicy(Encryption.VERIFIED, policy)

    async def _sts(self, domain: str) -> StsPolicy | None:
        known = self._known.setdefault(domain, _Known())
        self._known.move_to_end(domain)
        while len(self._known) > MOST_DOMAINS:
            self._known.popitem(last=False)
        async with known.looking:  # many mails for one domain ask once
            if time.monotonic() >= known.look_at:
                known.look_at = time.monotonic() + LOOK_AGAIN
                await self._look(domain, known)
        return known.policy if time.monotonic() < known.until else None

    async def _look(self, domain: str, known: _Known) -> None:
        answer = await self._resolver.query(f"_mta-sts.{domain}", "TXT")
        records = [text for text in answer.texts() if text.split(b";")[0].strip() == b"v=STSv1"]
        id = _id_of(records[0]) if len(records) == 1 else ""
        if not id or (id == known.id and time.monotonic() < known.until):
            return
        try:
            async with asyncio.timeout(FETCH):
                policy = parse_policy(await self._fetch(f"mta-sts.{domain}"))
        except (OSError, TimeoutError) as error:
            _log.warning("the MTA-STS policy of %s could not be fetched: %s", domain, error or "it took too long")
            return
        if policy is not None:
            known.id, known.policy, known.until = id, policy, time.monotonic() + policy.max_age


def _id_of(record: bytes) -> str:
    try:
        return parse_tags(record).get("id", b"").decode("ascii", "replace")
    except TagError:
        return ""
