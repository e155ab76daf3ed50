"""The page Trends: delivery, bounces, authentication and latency over time, and which provider has trouble when."""

import asyncio
from datetime import timedelta
from typing import Any, cast, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.arrange_trends import TITLES, arrange_figure, arrange_heat, place_marks
from console.authorise import authorised
from console.choose_buckets import buckets, choose_step
from console.choose_facets import Parameters, presets, span_words
from console.count_mails import MailCounts
from console.cover_hours import Span
from console.explain_search import describe
from console.note_configuration import read_marks
from console.parse_filters import Filters
from console.query_store import StoreQueries
from console.read_activity import counted_within, or_nothing, page_filters, read_parameters
from console.read_stats import FILTER_OF, By, StatName, StatsReader
from console.render_page import render
from console.tokens import Principal
from contracts import clock
from contracts.settings import Settings

CHARTS: tuple[StatName, ...] = ("delivery_rate", "bounces", "auth_failures", "latency")
OFFERED = {"": "All mail", "domain": "Domain", "provider": "Provider", "template": "Template", "class": "Bounce class"}
TIMES = ("24h", "7d", "21d")
DEFAULT = timedelta(days=7)
LINES = 6  # of one chart
PROVIDERS = 10  # rows of the heat map
_needs_read = authorised("read")


def trends_router(counts: MailCounts, queries: StoreQueries, settings: Settings) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/trends")
    async def trends(request: Request) -> Response:
        principal = _needs_read(request)
        request.state.principal = principal
        parameters = read_parameters(request)
        within = counted_within(parameters, settings)
        by = str(parameters.pop("by", ""))
        by = by if by in OFFERED else ""
        page: dict[str, Any] = {"figures": [], "heat": [], "marks": [], "problem": None, "read_as": [], "span": None}
        page["uncounted"] = False
        status = 200
        try:
            page |= await _read(
                queries, counts.at_once(within), principal, parameters, cast(By, by) if by in get_args(By) else None
            )
        except Problem as problem:
            if problem.status not in (400, 422, 503):
                raise
            page["problem"], status = problem.message, problem.status
        return render(
            request,
            "trends.html",
            status,
            **page,
            by=by,
            waited=within is None,
            titles=TITLES,
            offered=OFFERED,
            presets=[one for one in presets(parameters) if one["value"] in TIMES],
            parameters=parameters,
        )

    return router


async def _read(
    queries: StoreQueries, counts: MailCounts, principal: Principal, parameters: Parameters, by: By | None
) -> dict[str, Any]:
    filters, reader = page_filters(parameters), StatsReader(counts)
    span = counts.span(filters) if filters.since else counts.span(filters, DEFAULT)
    step = choose_step(span.low, span.high)
    top: list[tuple[str, int]] | None = []
    if by and by != "class":
        top = await or_nothing(counts.values(FILTER_OF[by], filters, principal.domains, span, LINES))
    values = [one for one, _ in top or ()]

    async def figure(name: StatName) -> Any:
        # Only what a server refused has a bounce class, and only what we send a template and a provider: of the rest they say nothing.
        told = by == "domain" or (by in ("provider", "template") and name != "auth_failures")
        split = by if told else None
        if split and top is None:
            return None
        chart = await reader.chart(name, filters, principal.domains, span, step, split, values if split else None)
        return arrange_figure(chart, FILTER_OF[split] if split else None)

    *figures, heat, marks = await asyncio.gather(
        *(or_nothing(figure(name)) for name in CHARTS),
        or_nothing(_heat(counts, principal, filters, span, step)),
        read_marks(queries, span.low, span.high),
    )
    return {
        "figures": list(zip(CHARTS, figures, strict=True)),
        "heat": heat,
        "uncounted": heat is None or None in figures,
        "marks": place_marks(marks, buckets(span.low, span.high, step), step),
        "read_as": [describe(term) for term in filters.terms],
        "span": span,
        "times": buckets(span.low, span.high, step),
        "step": step,
        "words": span_words(span, clock.now()),
    }


async def _heat(
    counts: MailCounts, principal: Principal, filters: Filters, span: Span, step: int
) -> list[dict[str, Any]]:
    top = await counts.values("provider", filters, principal.domains, span, PROVIDERS)
    providers = [value for value, _ in top]
    if not providers:
        return []
    found = await counts.counts("status", "provider", filters, principal.domains, span, step, providers)
    return arrange_heat(found, buckets(span.low, span.high, step), providers)
