"""How many mails there are, by time, by what they have in common, and by what became of them.

What asks for no more than a direction, a status and one dimension is answered from the table of hours (sinks/clickhouse/build_hours.py);
the parts of hours at both ends, and hours that have changed since they were counted, are read from the log, so that both ways give the
same numbers. Everything else is read from the log, within the limits of every query.
"""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from console.conditions import Condition, Term
from console.cover_hours import FROM_HOURS, Hours, Span, dimension_asked, hours_where, in_hours
from console.parse_filters import Filters
from console.present_mail import retention_start
from console.query_store import StoreQueries
from console.split_filters import log_where, split_filters
from contracts import clock
from contracts.settings import Settings

# What a word of a count is: how the log says it, and which mails have one.
MEASURES = {
    "status": ("toString(status)", ""),
    "bounce_class": ("toString(bounce_class)", "bounce_class != ''"),
    "failed_check": ("arrayJoin(failed_checks)", ""),
    "latency_bucket": ("toString(latency_bucket)", "latency_bucket != 0"),
}
# What mails may have in common: the filter that asks for it, and how the log says it. The table of hours has the first five.
DIMENSIONS = {
    "domain": "arrayJoin(domains)",
    "template": "toString(template)",
    "channel": "toString(channel)",
    "bounce_class": "toString(bounce_class)",
    "provider": "toString(provider)",
    "status": "toString(status)",
    "direction": "toString(direction)",
    "stream": "toString(stream)",
    "reason": "toString(reason)",
    "source": "toString(source)",
    "spf": "toString(spf)",
    "dkim": "toString(dkim)",
    "dmarc": "toString(dmarc)",
}
_FEW = frozenset({"from", "to", "address", "message_id", "reference", "mail_id"})
MAX_CHANGED = 48  # hours that are read from the log instead; with more of them, all is
MAX_VALUES = 5000  # of a dimension that are looked at
HOUR = timedelta(hours=1)
# A day that is merged is read without a fold, and no day has rows of another.
_SETTINGS = "SETTINGS do_not_merge_across_partitions_select_final = 1"
_CHANGED = """
SELECT m.hour AS hour FROM (SELECT hour, max(marked_at) AS marked FROM hour_marks WHERE hour >= {low:DateTime('UTC')} GROUP BY hour) AS m
LEFT JOIN (SELECT hour, max(seen) AS counted FROM hours WHERE measure = 'status' AND dimension = '' GROUP BY hour) AS h ON h.hour = m.hour
WHERE m.marked > h.counted ORDER BY hour
"""
_TIME = "toUInt32(toStartOfInterval({column}, INTERVAL {step} SECOND, 'UTC'))"


@dataclass(frozen=True)
class Count:
    """So many mails of one bucket (Unix seconds; 0 where time does not matter), with this value of the dimension and this word."""

    time: int
    value: str
    word: str
    mails: int


class MailCounts:
    """Counts for one principal at a time; `domains` limits whose mail is counted."""

    def __init__(self, queries: StoreQueries, settings: Settings) -> None:
        self._queries = queries
        self._settings = settings
        self._until: float | None = None
        self._covers: dict[Span, asyncio.Task[Hours | None]] | None = None

    def at_once(self, within: timedelta | None = None) -> "MailCounts":
        """Counts for one page: which hours have changed is asked once for each of its times, and what is not counted `within` this time
        from now is given up (Problem 503)."""
        counts = MailCounts(self._queries, self._settings)
        counts._until = monotonic() + within.total_seconds() if within is not None else None
        counts._covers = {}
        return counts

    def span(self, filters: Filters, recent: timedelta | None = None) -> Span:
        """The time that these filters are about: all that the log holds, or with `recent` so much of it, where they name no beginning and
        neither a person nor a mail."""
        now = clock.now()
        high = min(filters.until or now, now) + timedelta(milliseconds=1)
        oldest = retention_start(self._settings, now)
        if filters.since is None and recent is not None:
            few = any(isinstance(term, Condition) and term.name in _FEW and not term.exclude for term in filters.terms)
            return Span(max(oldest, high - (self._settings.store.retention if few else recent)), high)
        return Span(max(filters.since or oldest, oldest), high)

    async def values(
        self, dimension: str, filters: Filters, domains: frozenset[str], span: Span, most: int
    ) -> list[tuple[str, int]]:
        """The most frequent values of a dimension, each with its mails; without those that have none."""
        return (await self.facets([dimension], filters, domains, span, most))[dimension]

    async def facets(
        self, dimensions: list[str], filters: Filters, domains: frozenset[str], span: Span, most: int
    ) -> dict[str, list[tuple[str, int]]]:
        """The same for several dimensions, which are read together."""
        kept = [one for one in dimensions if in_hours("status", one, filters, domains)]
        hours = await self._cover(span) if kept else None
        if hours is None:
            kept = []
        others = [one for one in dimensions if one not in kept]
        reads = [self._values_from_log(others, filters, domains, [span])] if others else []
        if hours is not None:
            reads.append(self._values_from_hours(kept, filters, hours))
            if hours.parts:
                reads.append(self._values_from_log(kept, filters, domains, hours.parts))
        found: dict[str, dict[str, int]] = {one: defaultdict(int) for one in dimensions}
        for rows in await asyncio.gather(*reads):
            for row in rows:
                found[row["facet"]][row["shown"]] += row["total"]
        return {
            one: sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:most] for one, counted in found.items()
        }

    async def counts(
        self,
        measure: str,
        dimension: str,
        filters: Filters,
        domains: frozenset[str],
        span: Span,
        step: int = 0,
        values: list[str] | None = None,
    ) -> list[Count]:
        """Counts by bucket of `step` seconds (0: all time together), value of the dimension ("": all mails together) and word. `values`
        names those of the dimension that are wanted."""
        if not in_hours(measure, dimension, filters, domains) or step % 3600:
            return await self._from_log(measure, dimension, filters, domains, [span], step, values)
        hours = await self._cover(span)
        if hours is None:
            return await self._from_log(measure, dimension, filters, domains, [span], step, values)
        reads = [self._from_hours(measure, dimension, filters, hours, step, values)]
        if hours.parts:
            reads.append(self._from_log(measure, dimension, filters, domains, hours.parts, step, values))
        return _added([one for found in await asyncio.gather(*reads) for one in found])

    async def _cover(self, span: Span) -> Hours | None:
        """The whole hours of a time, and what is left for the log; None where the log is read anyway."""
        if self._covers is None:
            return await self._read_cover(span)
        if span not in self._covers:
            self._covers[span] = asyncio.ensure_future(self._read_cover(span))
        return await self._covers[span]

    async def _read_cover(self, span: Span) -> Hours | None:
        low = _hour(span.low) if span.low == _hour(span.low) else _hour(span.low) + HOUR
        # The hour that has not ended is whole as well.
        high = _hour(span.high) + HOUR if span.high >= clock.now() else _hour(span.high)
        if low >= high:
            return None
        rows = await self._rows(_CHANGED, {"low": low})
        changed = [moment for row in rows if low <= (moment := clock.utc(row["hour"])) < high]
        if len(changed) > MAX_CHANGED:
            return None
        parts = [Span(span.low, low)] if span.low < low else []
        parts += [Span(high, span.high)] if span.high > high else []
        return Hours(Span(low, high), changed, parts + [Span(one, min(one + HOUR, span.high)) for one in changed])

    async def _rows(self, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        seconds = self._until - monotonic() if self._until is not None else None
        return await self._queries.rows(sql, parameters, seconds=seconds)

    async def _from_log(
        self,
        measure: str,
        dimension: str,
        filters: Filters,
        domains: frozenset[str],
        spans: list[Span],
        step: int,
        values: list[str] | None,
    ) -> list[Count]:
        word, has_one = MEASURES[measure]
        value = DIMENSIONS[dimension] if dimension else "''"
        time = _TIME.format(column="received_at", step=step) if step else "toUInt32(0)"

        async def read(one: Filters) -> list[dict[str, Any]]:
            where = log_where(one, domains, _within(spans))
            if has_one:
                where.add(has_one)
            having = f"HAVING value IN {where.bind(values, 'Array(String)')}" if values is not None else ""
            return await self._rows(
                f"SELECT {time} AS time, {value} AS value, {word} AS word, count() AS mails FROM mails FINAL WHERE {where.sql} "
                f"GROUP BY time, value, word {having} {_SETTINGS}",
                where.parameters,
            )

        found = await asyncio.gather(*map(read, split_filters(filters)))
        return _added([Count(row["time"], row["value"], row["word"], row["mails"]) for rows in found for row in rows])

    async def _from_hours(
        self, measure: str, dimension: str, filters: Filters, hours: Hours, step: int, values: list[str] | None
    ) -> list[Count]:
        where = hours_where(measure, [dimension or dimension_asked(filters)], filters, hours)
        if values is not None:
            where.add(f"one_value IN {where.bind(values, 'Array(String)')}")
        time = _TIME.format(column="hour", step=step) if step else "toUInt32(0)"
        shown = "one_value" if dimension else "''"
        rows = await self._rows(
            f"SELECT {time} AS time, {shown} AS shown, toString(one_word) AS said, sum(one_mails) AS total {FROM_HOURS} "
            f"WHERE {where.sql} GROUP BY time, shown, said",
            where.parameters,
        )
        return [Count(row["time"], row["shown"], row["said"], row["total"]) for row in rows]

    async def _values_from_hours(self, dimensions: list[str], filters: Filters, hours: Hours) -> list[dict[str, Any]]:
        where = hours_where("status", dimensions, filters, hours)
        return await self._rows(
            f"SELECT toString(dimension) AS facet, one_value AS shown, sum(one_mails) AS total {FROM_HOURS} WHERE {where.sql} "
            f"GROUP BY facet, shown ORDER BY total DESC LIMIT {MAX_VALUES} BY facet",
            where.parameters,
        )

    async def _values_from_log(
        self, dimensions: list[str], filters: Filters, domains: frozenset[str], spans: list[Span]
    ) -> list[dict[str, Any]]:
        pairs = [
            "arrayMap(one -> ('domain', one), arrayDistinct([sender_domain, recipient_domain]))"
            if one == "domain"
            else f"[('{one}', {DIMENSIONS[one]})]"
            for one in dimensions
        ]
        columns = ", ".join("sender_domain, recipient_domain" if one == "domain" else one for one in dimensions)

        async def read(one: Filters) -> list[dict[str, Any]]:
            where = log_where(one, domains, _within(spans))
            return await self._rows(
                f"SELECT pair.1 AS facet, pair.2 AS shown, sum(same) AS total FROM ("
                f"SELECT arrayJoin(arrayConcat({', '.join(pairs)})) AS pair, same FROM ("
                f"SELECT {columns}, count() AS same FROM mails FINAL WHERE {where.sql} GROUP BY {columns})) WHERE shown != '' "
                f"GROUP BY facet, shown ORDER BY total DESC LIMIT {MAX_VALUES} BY facet {_SETTINGS}",
                where.parameters,
            )

        found = await asyncio.gather(*map(read, split_filters(filters)))
        return [row for rows in found for row in rows]


def narrowed(filters: Filters, *terms: Term) -> Filters:
    """The same filters, and more that must hold."""
    return replace(filters, terms=(*filters.terms, *terms))


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _added(counts: list[Count]) -> list[Count]:
    total: dict[tuple[int, str, str], int] = defaultdict(int)
    for one in counts:
        total[(one.time, one.value, one.word)] += one.mails
    return [Count(*key, mails) for key, mails in total.items()]


def _within(spans: list[Span]) -> str:
    """A condition on received_at; numbers of ours, so that it can stand in several places of a query."""
    bounds = [
        f"(received_at >= fromUnixTimestamp64Milli({clock.to_ms(one.low)}, 'UTC') "
        f"AND received_at < fromUnixTimestamp64Milli({clock.to_ms(one.high)}, 'UTC'))"
        for one in spans
    ]
    return "(" + " OR ".join(bounds) + ")"
