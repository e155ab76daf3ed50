"""From the numbers of a chart to what the page Trends shows of it: lines or bars, a legend, and a table of the same numbers. Pure."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from console.compute_stats import CHECKS, FELL_THROUGH, SUCCEEDED, Point
from console.count_mails import Count
from console.draw_charts import WIDE, Bar, draw_line, label_times, round_up, stack_bars
from console.explain_mail import words
from console.note_configuration import Mark
from console.read_stats import Chart
from contracts import clock

COLOURS = 8  # of lines and parts of bars (static/charts.css, c-0 and on)
TITLES = {
    "delivery_rate": (
        "Delivery success rate",
        "Of the mails that were to be delivered and are settled, the share that was.",
    ),
    "bounces": ("Bounces", "Mails that a server refused, for good or for now."),
    "auth_failures": ("Authentication failures", "Inbound mails that failed a check, of all inbound mails."),
    "latency": ("Time to delivery", "From receipt until the other side took it. The axis is logarithmic."),
}
# What a click on a chart asks the log for.
FAILED_RESULTS = "fail,softfail,permerror,temperror,policy"
ASKS = {
    "delivery_rate": {"status": ",".join(sorted(FELL_THROUGH))},
    "latency": {"status": ",".join(sorted(SUCCEEDED))},
    "auth_failures": {"direction": "inbound", "dmarc": FAILED_RESULTS},
}
HEAT = (0.0, 0.01, 0.05, 0.1, 0.25)  # shares of trouble above which a cell is darker
TROUBLE = frozenset({"delivery_failed", "failed", "deferred"})
Value = Callable[[Point], float | None]
Parameters = dict[str, Any]


@dataclass(frozen=True)
class Series:
    """One line, or one part of the bars. `asks` are the parameters of a list of its mails."""

    label: str
    lines: list[str]
    total: str
    asks: Parameters
    cells: list[str]
    name: str = ""  # of the parts of the bars


@dataclass(frozen=True)
class Figure:
    """One chart of the page."""

    name: str
    times: list[int]
    step: int
    series: list[Series]
    top: str
    bottom: str
    bars: list[Bar] = field(default_factory=list)
    asks: Parameters = field(default_factory=dict)

    @property
    def labels(self) -> list[int]:
        return label_times(self.times)

    def part_of(self, name: str) -> int:
        """The number of the series that a part of a bar belongs to."""
        return next(place for place, one in enumerate(self.series) if one.name == name)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(one.lines for one in self.series) and not any(bar.total for bar in self.bars)


def arrange_figure(chart: Chart, by: str | None) -> Figure:
    """A chart for the page; `by` is the filter that a value of it belongs to, None for a chart of all mails together."""
    if chart.name == "bounces":
        return _bars(chart, by)
    if chart.name == "delivery_rate":
        return _lines(chart, _by_value(chart, by, lambda point: point.rate), percent, _floor_of)
    if chart.name == "latency":
        wanted = ("p95",) if by else ("p50", "p95", "p99")
        return _logarithmic(chart, by, wanted)
    checks = ("dmarc",) if by else CHECKS
    return _lines(chart, _by_check(chart, by, checks), percent, lambda _: 0.0)


def percent(share: float | None) -> str:
    """`97.3 %`; a dash for nothing."""
    if share is None:
        return "–"
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def duration(ms: float | None) -> str:
    """`40 ms`, `2.5 s`, `3 min`, `2 h`; a dash for nothing."""
    if not ms:
        return "–"
    for limit, size, unit in ((1000, 1, "ms"), (60_000, 1000, "s"), (3_600_000, 60_000, "min")):
        if ms < limit:
            return f"{ms / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{ms / 3_600_000:.1f}".removesuffix(".0") + " h"


def arrange_heat(counts: list[Count], times: list[int], providers: list[str]) -> list[dict[str, Any]]:
    """A row for each provider, a cell for each bucket: its mails, and the share of them that has trouble, as a level from 0 to 5."""
    mails: dict[tuple[int, str], int] = {}
    trouble: dict[tuple[int, str], int] = {}
    for one in counts:
        key = (one.time, one.value)
        mails[key] = mails.get(key, 0) + one.mails
        trouble[key] = trouble.get(key, 0) + (one.mails if one.word in TROUBLE else 0)
    rows = []
    for provider in providers:
        cells: list[dict[str, Any]] = []
        for time in times:
            many, bad = mails.get((time, provider), 0), trouble.get((time, provider), 0)
            level = sum(1 for limit in HEAT if bad / many > limit) if many else None
            cells.append(
                {
                    "time": time,
                    "mails": many,
                    "trouble": bad,
                    "level": level,
                    "share": percent(bad / many if many else None),
                }
            )
        rows.append({"provider": provider, "mails": sum(cell["mails"] for cell in cells), "cells": cells})
    return rows


@dataclass(frozen=True)
class PlacedMark:
    """A change of the configuration where the charts draw it: `x` in their units, `bucket` the row of their tables."""

    at: str
    keys: str
    x: float
    bucket: int


def place_marks(marks: list[Mark], times: list[int], step: int) -> list[PlacedMark]:
    """Those that lie within the time of the charts."""
    placed = []
    for mark in marks:
        seconds = mark.at.timestamp()
        if times[0] <= seconds < times[-1] + step:
            x = round(WIDE * (seconds - times[0]) / (times[-1] + step - times[0]), 1)
            bucket = int((seconds - times[0]) // step) * step + times[0]
            placed.append(PlacedMark(clock.rfc3339(mark.at), ", ".join(mark.keys), x, bucket))
    return placed


def _by_value(chart: Chart, by: str | None, value: Value) -> list[tuple[str, Value, Parameters, str]]:
    """(label, value of a point, parameters, value of the dimension) of each line."""
    asks = ASKS[chart.name]
    return [(one or "all mail", value, {**asks, **({by: one} if by else {})}, one) for one in chart.values[:COLOURS]]


def _by_check(chart: Chart, by: str | None, checks: tuple[str, ...]) -> list[tuple[str, Value, Parameters, str]]:
    def share(check: str) -> Value:
        return lambda point: point.counts.get(check, 0) / point.total if point.total else None

    if by:
        return _by_value(chart, by, share("dmarc"))
    asks = {check: {"direction": "inbound", check: FAILED_RESULTS} for check in checks}
    return [(check.upper(), share(check), asks[check], "") for check in checks]


def _lines(
    chart: Chart,
    series: list[tuple[str, Value, Parameters, str]],
    written: Callable[[float | None], str],
    floor: Callable[[list[float]], float],
) -> Figure:
    values = [[value(chart.point(time, one)) for time in chart.times] for _, value, _, one in series]
    known = [value for line in values for value in line if value is not None]
    low, high = (
        floor(known),
        1.0 if chart.name == "delivery_rate" else min(1.0, round_up(max(known, default=0) or 0.01)),
    )
    made = [
        Series(
            label,
            draw_line(line, low, high),
            written(value(chart.whole.get(one) or Point())),
            asks,
            [written(v) for v in line],
        )
        for (label, value, asks, one), line in zip(series, values, strict=True)
    ]
    return Figure(chart.name, chart.times, chart.step, made, percent(high), percent(low), asks=ASKS[chart.name])


def _logarithmic(chart: Chart, by: str | None, wanted: tuple[str, ...]) -> Figure:
    lines: list[tuple[str, list[float | None], str, Parameters]] = []
    for value in chart.values[:COLOURS]:
        for name in wanted:
            found = [(chart.point(time, value).percentiles or {}).get(name) for time in chart.times]
            whole = (chart.whole.get(value) or Point()).percentiles or {}
            asks = {**ASKS["latency"], **({by: value} if by else {})}
            lines.append(
                (
                    f"{value}, {name}" if by else name,
                    [one and float(one) for one in found],
                    duration(whole.get(name)),
                    asks,
                )
            )
    known = [value for _, line, _, _ in lines for value in line if value]
    low, high = (
        10 ** math.floor(math.log10(min(known, default=1))),
        10 ** math.ceil(math.log10(max(known, default=10) * 1.01)),
    )
    made = [
        Series(
            label,
            draw_line([math.log10(one) if one else None for one in line], math.log10(low), math.log10(high)),
            total,
            asks,
            [duration(one) for one in line],
        )
        for label, line, total, asks in lines
    ]
    return Figure(chart.name, chart.times, chart.step, made, duration(high), duration(low), asks=ASKS["latency"])


def _bars(chart: Chart, by: str | None) -> Figure:
    """By class, or with `by` by its values; the rarest are one part together."""
    counts: dict[int, dict[str, int]] = {}
    for (time, value), point in chart.points.items():
        found = counts.setdefault(time, {})
        for name, mails in [(value, point.total)] if by else point.counts.items():
            found[name] = found.get(name, 0) + mails
    totals: dict[str, int] = {}
    for found in counts.values():
        for name, mails in found.items():
            totals[name] = totals.get(name, 0) + mails
    order = sorted(totals, key=lambda name: (-totals[name], name))
    shown, rest = order[:COLOURS], set(order[COLOURS:])
    if rest:
        shown, rest = order[: COLOURS - 1], set(order[COLOURS - 1 :])
        for found in counts.values():
            found["others"] = sum(found.pop(name, 0) for name in rest)
        totals["others"] = sum(totals[name] for name in rest)
        shown = [*shown, "others"]
    made = [
        Series(
            words(name) if not by else name,
            [],
            f"{totals[name]:,}",
            {} if name == "others" else {by or "bounce_class": name},
            [f"{counts.get(time, {}).get(name, 0):,}" for time in chart.times],
            name,
        )
        for name in shown
    ]
    highest = max((sum(found.values()) for found in counts.values()), default=0)
    bars = stack_bars(chart.times, counts, shown)
    return Figure(
        "bounces",
        chart.times,
        chart.step,
        made,
        f"{highest:,}",
        "0",
        bars,
        {"bounce_type": "hard,soft,block,admin,undetermined"},
    )


def _floor_of(values: list[float]) -> float:
    """Where the axis of a rate begins: near the lowest, so that a small fall can be seen."""
    lowest = min(values, default=0)
    return max(one for one in (0, 0.5, 0.8, 0.9, 0.95) if one <= lowest)
