"""A chart's numbers from the log: which counts it needs, over which time, for which values of a dimension."""

from dataclasses import dataclass
from typing import Literal, get_args

from console.choose_buckets import buckets
from console.compute_stats import Point, points
from console.conditions import Condition
from console.count_mails import Count, MailCounts, narrowed
from console.cover_hours import Span
from console.parse_filters import Filters

StatName = Literal["volume", "delivery_rate", "bounces", "auth_failures", "latency"]
By = Literal["domain", "provider", "template", "class", "channel"]
FILTER_OF = {
    one: {"class": "bounce_class"}.get(one, one) for one in get_args(By)
}  # the filter that asks for one of them
_MEASURES = {"bounces": "bounce_class", "auth_failures": "failed_check", "latency": "latency_bucket"}
_INBOUND = Condition("direction", ("inbound",))


@dataclass(frozen=True)
class Chart:
    """What a chart shows: for each value (one, "", without a dimension) a point a bucket. `whole` is all time together."""

    name: str
    step: int  # seconds
    times: list[int]  # Unix seconds
    values: list[str]  # most mails first
    points: dict[tuple[int, str], Point]
    whole: dict[str, Point]

    def point(self, time: int, value: str) -> Point:
        """The point, empty where there is no mail."""
        return self.points.get((time, value)) or Point()


class StatsReader:
    """Charts for one principal at a time."""

    def __init__(self, counts: MailCounts) -> None:
        self._counts = counts

    async def chart(
        self,
        name: StatName,
        filters: Filters,
        domains: frozenset[str],
        span: Span,
        step: int,
        by: By | None = None,
        values: list[str] | None = None,
        most: int = 10,
    ) -> Chart:
        """One chart. `values` are those of the dimension `by` that it shows; by default those with the most mails."""
        if name == "auth_failures":
            filters = narrowed(filters, _INBOUND)
        dimension = FILTER_OF[by] if by else ""
        if by and values is None:
            values = [value for value, _ in await self._counts.values(dimension, filters, domains, span, most)]
        totals: list[Count] = []
        if name == "auth_failures":
            totals = await self._counts.counts("status", dimension, filters, domains, span, step, values)
        measure = _MEASURES.get(name, "status")
        counts = await self._counts.counts(measure, dimension, filters, domains, span, step, values)
        whole = points(name, _together(counts), _together(totals))
        return Chart(
            name,
            step,
            buckets(span.low, span.high, step),
            values if values is not None else [""],
            points(name, counts, totals),
            {value: point for (_, value), point in whole.items()},
        )


def _together(counts: list[Count]) -> list[Count]:
    total: dict[tuple[str, str], int] = {}
    for one in counts:
        total[(one.value, one.word)] = total.get((one.value, one.word), 0) + one.mails
    return [Count(0, value, word, mails) for (value, word), mails in total.items()]
