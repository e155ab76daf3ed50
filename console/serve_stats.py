"""The routes of the API that count the log: facets and time series (design section 5)."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from console.answer_errors import Problem
from console.authorise import authorised
from console.choose_buckets import STEPS, choose_step, read_step, write_step
from console.compute_stats import STATS, Point
from console.count_mails import DIMENSIONS, MailCounts
from console.read_stats import By, Chart, StatName, StatsReader
from console.serve_api import FILTER_HELP, request_filters
from console.tokens import Principal
from contracts import clock

Reader = Annotated[Principal, Depends(authorised("read"))]
FIELDS = {"class": "bounce_class", **{one: one for one in DIMENSIONS}}


class FacetValue(BaseModel):
    """One value, and how many mails have it."""

    value: str = Field(description="As a filter takes it.", examples=["example.com"])
    count: int = Field(description="Mails that have it, one a recipient.")


class Facets(BaseModel):
    """Counts by value, the most frequent first, for each field that was asked for."""

    since: str = Field(description="Mails received from here on are counted.")
    until: str = Field(description="Mails received before this are counted.")
    fields: dict[str, list[FacetValue]] = Field(
        description="By the names that were asked for.", examples=[{"domain": [{"value": "example.com", "count": 42}]}]
    )


class StatsItem(BaseModel):
    """One bucket of one line. What the chart does not have is null."""

    time: str = Field(description="The beginning of the bucket.")
    by: str | None = Field(description="The value of what `by` names; null for all mails together.")
    total: int = Field(description="The mails that it is about.")
    counts: dict[str, int] = Field(description="By status, bounce class or failed check.")
    rate: float | None = Field(description="Share that succeeded, 0 to 1.")
    p50: int | None = Field(description="Half of them took no longer than so many milliseconds.")
    p95: int | None = Field(description="95 of 100, in milliseconds.")
    p99: int | None = Field(description="99 of 100, in milliseconds.")


class Stats(BaseModel):
    """A time series."""

    name: str = Field(description="What is counted.")
    bucket: str = Field(description="How long a bucket is; they begin on the clock, in UTC.", examples=["1h"])
    by: str | None = Field(description="As it was asked for.")
    since: str = Field(description="Mails received from here on are counted.")
    until: str = Field(description="Mails received before this are counted.")
    items: list[StatsItem] = Field(description="Every bucket of every line, oldest first.")


def stats_router(counts: MailCounts) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["log"])

    @router.get("/facets", summary="Counts by value, under the filters of /mails", description=FILTER_HELP)
    async def facets(
        request: Request,
        principal: Reader,
        fields: Annotated[
            str, Query(description=f"With commas: {', '.join(FIELDS)}.", max_length=300)
        ] = "domain,template,channel,class,provider",
        most: Annotated[int, Query(ge=1, le=200, description="Values of each field at most.")] = 20,
    ) -> Facets:
        filters = request_filters(request, ("fields", "most"))
        span = counts.span(filters)
        wanted = _read_fields(fields)
        found = await counts.facets(list(wanted.values()), filters, principal.domains, span, most)
        return Facets(
            since=clock.rfc3339(span.low),
            until=clock.rfc3339(span.high),
            fields={
                name: [FacetValue(value=value, count=count) for value, count in found[dimension]]
                for name, dimension in wanted.items()
            },
        )

    @router.get(
        "/stats/{name}",
        summary="The log in numbers, as a time series",
        description="\n".join([*(f"- `{name}`: {text}" for name, text in STATS.items()), "", FILTER_HELP]),
    )
    async def stats(
        request: Request,
        principal: Reader,
        name: Annotated[StatName, Path(description="What is counted.")],
        bucket: Annotated[
            str | None, Query(description=f"One of {', '.join(map(write_step, STEPS))}; by default what makes some 40.")
        ] = None,
        by: Annotated[By | None, Query(description="A line for each value of this.")] = None,
        most: Annotated[int, Query(ge=1, le=50, description="Lines at most, those of the most mails.")] = 10,
    ) -> Stats:
        filters = request_filters(request, ("bucket", "by", "most"))
        span = counts.span(filters)
        step = read_step(bucket, span.low, span.high) if bucket else choose_step(span.low, span.high)
        chart = await StatsReader(counts.at_once()).chart(name, filters, principal.domains, span, step, by, most=most)
        return Stats(
            name=name,
            bucket=write_step(step),
            by=by,
            since=clock.rfc3339(span.low),
            until=clock.rfc3339(span.high),
            items=_items(chart, by),
        )

    return router


def _read_fields(text: str) -> dict[str, str]:
    """The fields that were asked for, and what they are called in the log. Problem 422 for one that there is not."""
    names = [one.strip() for one in text.split(",") if one.strip()]
    for name in names:
        if name not in FIELDS:
            raise Problem(422, f"there is no field '{name[:40]}'; known: {', '.join(FIELDS)}", field="fields")
    return {name: FIELDS[name] for name in names}


def _items(chart: Chart, by: str | None) -> list[StatsItem]:
    return [
        _item(time, value if by else None, chart.point(time, value)) for value in chart.values for time in chart.times
    ]


def _item(time: int, by: str | None, point: Point) -> StatsItem:
    percentiles = point.percentiles or {}
    return StatsItem(
        time=clock.rfc3339(datetime.fromtimestamp(time, UTC)),
        by=by,
        total=point.total,
        counts=point.counts,
        rate=round(point.rate, 4) if point.rate is not None else None,
        p50=percentiles.get("p50"),
        p95=percentiles.get("p95"),
        p99=percentiles.get("p99"),
    )
