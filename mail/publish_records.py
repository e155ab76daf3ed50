"""The DNS records that belong to a mail domain of ours: what receivers look up to reach it, and to know mail that says it is from it."""

from collections.abc import Sequence
from typing import NamedTuple

STRING = 255  # octets of one string of a TXT record (RFC 1035 section 3.3.14)


class DnsRecord(NamedTuple):
    """One record; `value` of a TXT record is its whole text, `why` says what it is for."""

    name: str
    kind: str
    value: str
    why: str

    def as_zone_line(self) -> str:
        """A line of a zone file (RFC 1035 section 5.1)."""
        return f"{self.name}. IN {self.kind} {_quoted(self.value) if self.kind == 'TXT' else self.value}"


def receiving_records(domain: str, exchange: str) -> list[DnsRecord]:
    """What a domain needs whose mail we take (RFC 5321 section 5)."""
    return [DnsRecord(domain, "MX", f"10 {exchange}.", "mail to the domain comes to us")]


def sending_records(domain: str, host: str, keys: Sequence[tuple[str, str]], reports: str) -> list[DnsRecord]:
    """What a domain needs that we send for: SPF (RFC 7208) for the host that sends, the (selector, record) of each DKIM key (RFC 6376), and
    DMARC (RFC 9989), which asks for nothing yet and, where there is an address for them, for reports. Another domain has to say
    that it takes them (RFC 9990 section 4)."""
    asked = f"; rua=mailto:{reports}" if reports else ""
    elsewhere = reports.rpartition("@")[2]
    leave = DnsRecord(
        f"{domain}._report._dmarc.{elsewhere}", "TXT", "v=DMARC1", f"{elsewhere} takes the reports about {domain}"
    )
    return [
        DnsRecord(
            domain, "TXT", f"v=spf1 a:{host} -all", f"{host} sends for the domain; add who else does before `-all`"
        ),
        *[DnsRecord(f"{name}._domainkey.{domain}", "TXT", record, f"our key {name} signs") for name, record in keys],
        DnsRecord(
            f"_dmarc.{domain}",
            "TXT",
            f"v=DMARC1; p=none{asked}",
            "look at reports first, then p=quarantine, then p=reject",
        ),
        *([leave] if reports and not f".{domain}".endswith(f".{elsewhere}") else []),
    ]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return " ".join(f'"{escaped[begin : begin + STRING]}"' for begin in range(0, len(escaped), STRING))
