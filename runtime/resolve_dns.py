"""Ask DNS: one asynchronous resolver with a cache, shared by authentication and delivery.

`DnsResolver.query` always returns a `DnsAnswer`; trouble is a status, never an exception. Identical questions
in flight share one look-up, failures are remembered for 30 seconds, and NXDOMAIN differs from NODATA
(RFC 2308).
Durations in seconds.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from contracts.dns_answers import DnsAnswer, DnsStatus
from runtime.nameservers import parse_nameservers

FAILURE_SECONDS = 30.0
MAX_TTL = 3600.0
MAX_NEGATIVE_TTL = 300.0
MAX_CNAMES = 8
MAX_RECORDS = 100
MAX_CACHED = 4096  # bytes of one answer that is kept for other mails: a stranger decides what we ask and get


Observe = Callable[[str, str, float, bool], None]  # record type, status, seconds, from the cache


class DnsResolver:
    """The process's resolver. `nameservers` are "host:port", "host" or "[v6]:port"; none = the system's."""

    def __init__(
        self,
        nameservers: list[str] | None = None,
        timeout: float = 5.0,
        cache_size: int = 20_000,
        observe: Observe | None = None,
    ) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=not nameservers)
        if nameservers:
            self._resolver.nameservers = [
                dns.nameserver.Do53Nameserver(address, port) for address, port in parse_nameservers(nameservers)
            ]
        self._resolver.cache = None
        self._resolver.use_edns(0, payload=1232)
        self._resolver.set_flags(dns.flags.RD | dns.flags.AD)  # we understand AD in answers (RFC 6840 section 5.7)
        self._resolver.lifetime = timeout
        self._resolver.timeout = min(2.0, timeout)
        self._cache_size = max(1, cache_size)
        self._cache: OrderedDict[tuple[str, str], tuple[float, DnsAnswer]] = OrderedDict()
        self._in_flight: dict[tuple[str, str], asyncio.Task[DnsAnswer]] = {}
        self._observe = observe

    async def query(self, name: str, rtype: str) -> DnsAnswer:
        """Look one name up. Never raises for DNS trouble or an odd name."""
        known = self.cached(name, rtype)
        if known is not None:
            return known
        key = _key(name, rtype)
        task = self._in_flight.get(key)
        if task is None or task.get_loop() is not asyncio.get_running_loop():
            task = asyncio.create_task(self._look_up(key))
            self._in_flight[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)  # one waiter that gives up must not fail the others

    def cached(self, name: str, rtype: str) -> DnsAnswer | None:
        """The answer if it is known already and still valid."""
        key = _key(name, rtype)
        cached = self._cache.get(key)
        if cached is None or cached[0] <= time.monotonic():
            return None
        self._cache.move_to_end(key)
        if self._observe is not None:
            self._observe(key[1], cached[1].status.value, 0.0, True)
        return cached[1]

    def _forget(self, key: tuple[str, str], task: asyncio.Task[DnsAnswer]) -> None:
        if self._in_flight.get(key) is task:
            del self._in_flight[key]

    async def _look_up(self, key: tuple[str, str]) -> DnsAnswer:
        started = time.monotonic()
        answer = await self._ask(*key)
        if self._observe is not None:
            self._observe(key[1], answer.status.value, time.monotonic() - started, False)
        if sum(map(len, answer.records)) <= MAX_CACHED:
            self._cache[key] = (time.monotonic() + answer.ttl, answer)
            self._cache.move_to_end(key)
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return answer

    async def _ask(self, name: str, rtype: str) -> DnsAnswer:
        try:
            target = dns.name.from_text(name or ".")
            kind = dns.rdatatype.from_text(rtype)
        except (dns.exception.DNSException, UnicodeError, ValueError):
            return DnsAnswer(name, rtype, DnsStatus.NXDOMAIN, ttl=FAILURE_SECONDS)
        authentic = True  # all along a chain of CNAMEs
        try:
            for _ in range(MAX_CNAMES):
                found = await self._resolver.resolve(target, kind, raise_on_no_answer=False, search=False)
                ttl = max(0.0, found.expiration - time.time())
                authentic = authentic and bool(found.response.flags & dns.flags.AD)
                if found.rrset is not None:
                    records = tuple(_to_record(rdata, rtype) for rdata in list(found.rrset)[:MAX_RECORDS])
                    return DnsAnswer(name, rtype, DnsStatus.OK, records, min(ttl, MAX_TTL), authentic)
                if found.canonical_name == target:
                    ttl = min(ttl, MAX_NEGATIVE_TTL)
                    return DnsAnswer(name, rtype, DnsStatus.NODATA, ttl=ttl, authentic=authentic)
                target = found.canonical_name  # a server that leaves it to us to follow its CNAME
            return DnsAnswer(name, rtype, DnsStatus.SERVFAIL, ttl=FAILURE_SECONDS)
        except dns.resolver.NXDOMAIN as error:
            return DnsAnswer(name, rtype, DnsStatus.NXDOMAIN, ttl=_negative_ttl(error, target))
        except dns.exception.Timeout:
            return DnsAnswer(name, rtype, DnsStatus.TIMEOUT, ttl=FAILURE_SECONDS)
        except (dns.exception.DNSException, OSError, EOFError, ValueError):
            return DnsAnswer(name, rtype, DnsStatus.SERVFAIL, ttl=FAILURE_SECONDS)


def _key(name: str, rtype: str) -> tuple[str, str]:
    return name.rstrip(".").lower(), rtype.upper()


def _to_record(rdata: object, rtype: str) -> str | bytes:
    match rtype:
        case "TXT":
            return b"".join(rdata.strings)  # type: ignore[attr-defined]
        case "MX":
            return f"{rdata.preference} {_to_host(rdata.exchange)}"  # type: ignore[attr-defined]
        case "PTR" | "CNAME" | "NS":
            return _to_host(rdata.target)  # type: ignore[attr-defined]
        case _:
            return str(rdata)


def _to_host(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower().removesuffix(".")


def _negative_ttl(error: dns.resolver.NXDOMAIN, name: dns.name.Name) -> float:
    try:
        response = error.response(name)  # type: ignore[no-untyped-call]
        return min(float(response.resolve_chaining().minimum_ttl), MAX_NEGATIVE_TTL)
    except (dns.exception.DNSException, KeyError, AttributeError):
        return FAILURE_SECONDS
