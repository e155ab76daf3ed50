"""Turn DNS answers into the evidence that a result carries, cut to stay small."""

from collections.abc import Iterable
from functools import lru_cache

from contracts.auth_results import MAX_DNS, DnsEvidence, cut
from contracts.dns_answers import DnsAnswer

MAX_VALUES = 8
MAX_VALUE = 512


def to_evidence(answers: Iterable[DnsAnswer]) -> tuple[DnsEvidence, ...]:
    """The answers in the order asked, each once, at most MAX_DNS of them."""
    seen: dict[tuple[str, str], DnsAnswer] = {(answer.name.lower(), answer.rtype): answer for answer in answers}
    return tuple(_describe(answer) for answer in list(seen.values())[:MAX_DNS])


def to_text(record: str | bytes) -> str:
    """A record for reading; bytes outside of ASCII and control bytes are escaped."""
    text = record if isinstance(record, str) else record.decode("ascii", "backslashreplace")
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


@lru_cache(maxsize=1024)
def _describe(answer: DnsAnswer) -> DnsEvidence:
    values = tuple(cut(to_text(record), MAX_VALUE) for record in answer.records[:MAX_VALUES])
    return DnsEvidence(cut(answer.name, 256), answer.rtype, answer.status.value, values)
