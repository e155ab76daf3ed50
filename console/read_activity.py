"""What the page Activity shows: the list, the chart above it, the facets beside it, and what a search that found nothing may have meant."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from fastapi import Request

from console.answer_errors import Problem
from console.choose_buckets import buckets, choose_step
from console.choose_facets import FACETS, Parameters, choices, span_words
from console.conditions import COLUMNS, TIMES, Condition, Term
from console.count_mails import MailCounts
from console.cover_hours import Span
from console.draw_charts import label_times, stack_bars
from console.explain_search import describe, suggest, write_query
from console.parse_filters import Filters, parse_filters
from console.render_page import query
from console.search_mails import Cursor, Search
from console.tokens import Principal
from contracts import clock
from contracts.settings import Settings
from contracts.statuses import EVENTS_ONLY, INBOUND_STATUSES, OUTBOUND_STATUSES, Direction, Status

PAGE = 50
RECENT = timedelta(hours=24)  # what the chart and the facets are about, where a search names no time
FACET_VALUES = 8
MAX_PARTS = 6  # of a search that found nothing, that are counted; each for a second at most
LAGS = 30  # seconds behind after which the page says so loudly
WAIT = "wait"  # the parameter of a page that is asked for again, with all its numbers
OWN = ("cursor", "live", WAIT)  # parameters that are no filters


def person_query(address: str) -> str:
    """The end of the URL of everything that somebody sent or got."""
    return query({}, q=write_query((Condition("address", (address,)),)))


def read_parameters(request: Request) -> Parameters:
    """The parameters that have a value; a list where there are several of a name."""
    found: Parameters = {}
    for name in request.query_params:
        values = [one for one in request.query_params.getlist(name) if one]
        if values:
            found[name] = values if len(values) > 1 and name in FACETS else values[-1]
    return found


def counted_within(parameters: Parameters, settings: Settings) -> timedelta | None:
    """How long this page waits for its numbers; None: as long as a query may take. What says so is taken out of the parameters."""
    return None if parameters.pop(WAIT, None) else settings.console.counts_within


def _pairs(parameters: Parameters, *without: str) -> list[tuple[str, str]]:
    return [
        (name, one)
        for name, value in parameters.items()
        if name not in (*OWN, *without)
        for one in (value if isinstance(value, list) else [value])
    ]


def page_filters(parameters: Parameters, *without: str) -> Filters:
    """The filters among the parameters of a page. Problem 422 names what is wrong."""
    return parse_filters(_pairs(parameters, *without), clock.now())


async def read_activity(
    search: Search, counts: MailCounts, principal: Principal, parameters: Parameters
) -> dict[str, Any]:
    """The list of a search, and what stands around it; no chart or no facets where counting takes too long (`uncounted`).
    Problem 400 or 422 where the search is wrong."""
    now = clock.now()
    filters, line = page_filters(parameters), str(parameters.get("q", ""))
    cursor = parameters.get("cursor")
    after = Cursor.decode(str(cursor)) if cursor else None
    span = counts.span(filters, RECENT)
    (items, following), chart, facets = await asyncio.gather(
        search.page(filters, principal.domains, PAGE, after),
        or_nothing(_chart(counts, principal, page_filters(parameters, "status"), span, now)),
        or_nothing(counts.facets(list(FACETS), filters, principal.domains, span, FACET_VALUES)),
    )
    in_line = parse_filters([("q", line)], now).terms
    return {
        "items": items,
        "read_as": [describe(term) for term in in_line],
        "suggestions": suggest(line),
        "parts": await _parts(search, principal, parameters, in_line, now) if not items and after is None else [],
        "following": following.encode() if following else None,
        "chart": chart,
        "span": span,
        "facets": arrange_facets(parameters, facets),
        "uncounted": facets is None or chart is None,
    }


async def or_nothing(work: Coroutine[Any, Any, Any]) -> Any:
    """None where counting takes too long: the rest of the page is there all the same."""
    try:
        return await work
    except Problem as problem:
        if problem.status != 503:
            raise
        return None


async def _chart(
    counts: MailCounts, principal: Principal, filters: Filters, span: Span, now: datetime
) -> dict[str, Any]:
    """Bars by status; those of all statuses, whichever are chosen."""
    step = choose_step(span.low, span.high)
    times = buckets(span.low, span.high, step)
    by_time: dict[int, dict[str, int]] = {}
    for one in await counts.counts("status", "", filters, principal.domains, span, step):
        by_time.setdefault(one.time, {})[one.word] = one.mails
    total = {status: sum(found.get(status, 0) for found in by_time.values()) for status in Status}
    return {
        "times": times,
        "step": step,
        "by_time": by_time,
        "labels": label_times(times),
        "total": total,
        "span": span,
        "words": span_words(span, now),
    }


def arrange_facets(parameters: Parameters, found: dict[str, list[tuple[str, int]]] | None) -> list[dict[str, Any]]:
    """The facets that have a value; what is chosen is there even where nothing could be counted, so that it can be taken back."""
    made = [
        {"name": name, "label": label, "choices": choices(name, parameters, (found or {}).get(name, []))}
        for name, label in FACETS.items()
    ]
    return [one for one in made if one["choices"]]


async def _parts(
    search: Search, principal: Principal, parameters: Parameters, in_line: tuple[Term, ...], now: datetime
) -> list[dict[str, Any]]:
    """Each part of a search that found nothing, `in_line` those of its line: how many it finds alone, and the parameters without it."""
    times = [(name, str(parameters[name])) for name in TIMES if name in parameters]
    asked = parse_filters([("q", str(parameters.get("q", ""))), *times], now)
    parts: list[tuple[Term, dict[str, str | None]]] = [
        (term, {"q": write_query(in_line[:place] + in_line[place + 1 :]) or None}) for place, term in enumerate(in_line)
    ]
    for name, value in _pairs(parameters):
        if name in COLUMNS:
            parts += [(term, {name: None}) for term in parse_filters([(name, value)], now).terms]
    if len(parts) + len(times) < 2:
        return []
    return [
        {
            "said": describe(term),
            "count": await search.count(Filters((term,), asked.since, asked.until), principal.domains),
            "without": {**without, "cursor": None},
        }
        for term, without in parts[:MAX_PARTS]
    ]


def status_chips(parameters: Parameters, chart: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The statuses to choose from, those that are chosen, and the bars of the chart, which shows no others then."""
    chosen = [one for one in str(parameters.get("status", "")).split(",") if one]
    statuses = {
        Direction.INBOUND.value: [one for one in Status if one in INBOUND_STATUSES],
        Direction.OUTBOUND.value: [one for one in Status if one in OUTBOUND_STATUSES],
    }.get(str(parameters.get("direction", "")), [one for one in Status if one not in EVENTS_ONLY])
    chips = []
    for status in statuses:
        toggled = [one for one in chosen if one != status] if status in chosen else [*chosen, status.value]
        chips.append({"status": status.value, "on": status in chosen, "then": ",".join(toggled)})
    if chart is not None:
        shown = [one for one in statuses if not chosen or one in chosen]
        chart["bars"] = stack_bars(chart["times"], chart["by_time"], _in_order(shown))
        chart["highest"] = max((sum(bar_count for _, bar_count in bar.parts) for bar in chart["bars"]), default=0)
    return chips


def _in_order(statuses: list[Status]) -> list[str]:
    """From the bottom of a bar: what went well, what is under way, what did not."""
    order = [
        Status.DELIVERED, Status.FORWARDED, Status.PROCESSED, Status.SENT, Status.RECEIVED, Status.SKIPPED, Status.DROPPED,
        Status.DEFERRED, Status.REJECTED, Status.FAILED, Status.DELIVERY_FAILED,
    ]  # fmt: skip
    return [one.value for one in order if one in statuses]


def lag_of(complete_until: str | None) -> int | None:
    """Whole seconds by which the log is behind, when that is worth saying."""
    if complete_until is None:
        return None
    behind = (clock.now() - datetime.fromisoformat(complete_until)).total_seconds()
    return int(behind) if behind > LAGS else None
