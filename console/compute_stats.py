"""From counts to the numbers of a chart: rates and percentiles, bucket by bucket. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from console.count_mails import Count
from contracts.statuses import Status

SUCCEEDED = frozenset({Status.DELIVERED, Status.FORWARDED, Status.PROCESSED})
FELL_THROUGH = frozenset({Status.DELIVERY_FAILED, Status.FAILED})
CHECKS = ("spf", "dkim", "dmarc")
STATS = {
    "volume": "Mails received in each bucket, by the status that they have now.",
    "delivery_rate": "Of the mails that were to be delivered, forwarded or processed and are settled, the share that was. What was "
    "refused, skipped or dropped on purpose does not count.",
    "bounces": "Mails that a server refused, by bounce class (deferred ones too, with the class of the last refusal).",
    "auth_failures": "Inbound mails that failed SPF, DKIM or DMARC (fail, softfail, permerror, temperror, policy), of all inbound mails.",
    "latency": "Milliseconds from receipt to delivery, forwarding or processing. Percentiles are read from steps of a fifth, and are exact "
    "to a tenth.",
}


@dataclass
class Point:
    """One bucket of one line: how many mails it is about, and what its chart shows of them. Latency is in milliseconds."""

    total: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    rate: float | None = None  # 0 to 1
    percentiles: dict[str, int] | None = None


Key = tuple[int, str]  # bucket (Unix seconds), value of the dimension


def points(name: str, counts: Iterable[Count], totals: Iterable[Count] = ()) -> dict[Key, Point]:
    """The points of a chart. `totals` are all mails by status, where the chart is about a part of them."""
    words: dict[Key, dict[str, int]] = defaultdict(dict)
    for one in counts:
        words[(one.time, one.value)][one.word] = one.mails
    if name == "delivery_rate":
        return {key: _delivery(found) for key, found in words.items()}
    if name == "latency":
        return {key: _latency(found) for key, found in words.items()}
    if name == "auth_failures":
        all_mails: dict[Key, int] = defaultdict(int)
        for one in totals:
            all_mails[(one.time, one.value)] += one.mails
        return {
            key: Point(total, {check: words.get(key, {}).get(check, 0) for check in CHECKS})
            for key, total in all_mails.items()
        }
    return {key: Point(sum(found.values()), dict(sorted(found.items()))) for key, found in words.items()}


def percentile(counts: dict[int, int], share: float) -> int:
    """The milliseconds below which this share of the mails is, from counts by quarter power of two (column `latency_bucket`)."""
    wanted = share * sum(counts.values())
    for bucket in sorted(counts):
        if counts[bucket] >= wanted:
            within = wanted / counts[bucket]
            return max(1, round(2 ** ((bucket - 1 + within) / 4)))
        wanted -= counts[bucket]
    return 0


def _delivery(words: dict[str, int]) -> Point:
    succeeded = sum(words.get(status, 0) for status in SUCCEEDED)
    failed = sum(words.get(status, 0) for status in FELL_THROUGH)
    total = succeeded + failed
    return Point(total, {"succeeded": succeeded, "failed": failed}, succeeded / total if total else None)


def _latency(words: dict[str, int]) -> Point:
    counts = {int(word): mails for word, mails in words.items()}
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return Point(sum(counts.values()), {}, None, {name: percentile(counts, share) for name, share in shares.items()})
