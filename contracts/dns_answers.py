"""What DNS answers: the words between those who ask (`mail/`, the sinks) and `runtime/resolve_dns.py`, which knows how to."""

from enum import StrEnum
from typing import Protocol

import msgspec


class DnsStatus(StrEnum):
    """How a look-up ended."""

    OK = "ok"  # records were found
    NODATA = "nodata"  # the name exists, but has no record of this type
    NXDOMAIN = "nxdomain"  # the name does not exist (also: cannot exist, such as a label of 64 bytes)
    SERVFAIL = "servfail"  # the server answered with an error, or with nonsense
    TIMEOUT = "timeout"  # no server answered in time
    BUDGET = "budget"  # not asked: this mail has used up its look-ups


class DnsAnswer(msgspec.Struct, frozen=True):
    """One answer. Records are text, except TXT (bytes, strings joined); MX reads "10 mx.example.org"."""

    name: str
    rtype: str
    status: DnsStatus
    records: tuple[str | bytes, ...] = ()
    ttl: float = 0.0
    authentic: bool = False  # the resolver has verified its signatures (AD, RFC 4035 section 3.2.3)

    @property
    def failed(self) -> bool:
        """True where a later try may answer: temperror, never "no such record"."""
        return self.status in (DnsStatus.SERVFAIL, DnsStatus.TIMEOUT, DnsStatus.BUDGET)

    def texts(self) -> list[bytes]:
        return [record for record in self.records if isinstance(record, bytes)]

    def values(self) -> list[str]:
        return [record for record in self.records if isinstance(record, str)]

    def exchanges(self) -> list[tuple[int, str]]:
        """MX records as (preference, host), best first; the host of a null MX is empty (RFC 7505)."""
        pairs = (value.partition(" ") for value in self.values())
        return sorted((int(preference), host) for preference, _, host in pairs)


class Resolver(Protocol):
    """What a check needs of DNS. `DnsResolver`, its budget and a dictionary in a test all fit."""

    async def query(self, name: str, rtype: str) -> DnsAnswer: ...
