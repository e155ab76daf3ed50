"""Find DMARC records: the DNS tree walk of RFC 9989 §4.10, and the two look-ups of RFC 7489 §6.6.3.

One `TreeWalk` serves one mail and remembers what it asked. A DNS failure raises `WalkFailed`; the check turns
it into temperror where the outcome depends on it."""

from contracts.auth_results import AuthReason
from contracts.dns_answers import DnsAnswer, DnsStatus, Resolver
from mail.authentication.dmarc_record import DmarcRecord, parse_dmarc

MAX_LABELS = 8  # a longer name continues with its last seven labels: eight queries at most


class WalkFailed(Exception):
    """DNS failed on the way; a later try may conclude."""

    def __init__(self, answer: DnsAnswer) -> None:
        super().__init__(f"{answer.status.value} for {answer.name}")
        self.reason = AuthReason.DNS_BUDGET if answer.status is DnsStatus.BUDGET else AuthReason.DNS_TEMPERROR


class TreeWalk:
    """The DMARC records above the domains of one mail."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._organizational: dict[str, str] = {}
        self._records: dict[str, DmarcRecord | None] = {}
        self.answers: list[DnsAnswer] = []
        self.multiple: list[str] = []  # names that were ignored because they hold several records

    def go_on_with(self, resolver: Resolver) -> None:
        """Ask this resolver from now on: what was found so far stays."""
        self._resolver = resolver

    async def record_at(self, domain: str) -> DmarcRecord | None:
        """The one record at `_dmarc.<domain>`; several records at one name count as none (§4.10 step 2)."""
        if domain in self._records:
            return self._records[domain]
        answer = await self._resolver.query(f"_dmarc.{domain}", "TXT")
        self.answers.append(answer)
        if answer.failed:
            raise WalkFailed(answer)
        parsed = [parse_dmarc(text.decode("utf-8", "replace")) for text in answer.texts()]
        records = [record for record in parsed if record is not None]
        if len(records) > 1:
            self.multiple.append(domain)
        self._records[domain] = records[0] if len(records) == 1 else None
        return self._records[domain]

    async def records_above(self, domain: str) -> list[tuple[str, DmarcRecord]]:
        """Every record from `domain` up to the top-level domain, or to a record that says psd=y or psd=n."""
        found: list[tuple[str, DmarcRecord]] = []
        for step, name in enumerate(steps(domain)):
            record = await self.record_at(name)
            if record is None:
                continue
            found.append((name, record))
            if record.psd == "n" or (record.psd == "y" and step > 0):
                break
        return found

    async def organizational(self, domain: str) -> str:
        """The organizational domain (§4.10.2)."""
        known = self._organizational.get(domain)
        if known is None:
            known = choose_organizational(domain, await self.records_above(domain))
            self._organizational[domain] = known
        return known

    async def exists(self, domain: str) -> bool:
        """False where the name itself does not exist (§3.2.13): NXDOMAIN for every type asked."""
        for rtype in ("A", "AAAA", "MX"):
            answer = await self._resolver.query(domain, rtype)
            self.answers.append(answer)
            if answer.failed:
                raise WalkFailed(answer)
            if answer.status is not DnsStatus.NXDOMAIN:
                return True
        return False


def steps(domain: str) -> list[str]:
    """The names that a walk asks, in order: `a.b.example.com` → itself, `b.example.com`, `example.com`, `com`."""
    labels = domain.split(".")
    below = labels[1:] if len(labels) < MAX_LABELS else labels[-(MAX_LABELS - 1) :]
    return [domain] + [".".join(below[index:]) for index in range(len(below))]


def choose_organizational(domain: str, records: list[tuple[str, DmarcRecord]]) -> str:
    """From the longest name to the shortest: psd=n names it, psd=y has it one label below, else the shortest."""
    for name, record in records:
        if record.psd == "n":
            return name
        if record.psd == "y" and name != domain:
            return ".".join(domain.split(".")[-(name.count(".") + 2) :])
    return records[-1][0] if records else domain
