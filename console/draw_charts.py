"""From numbers to the geometry of a chart: whole units of an SVG's own coordinates, drawn by the templates. Pure.

A chart is WIDE by HIGH units, stretched to its place by the browser; its texts stand beside it as HTML, so that they keep their size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

WIDE, HIGH = 1000, 100
LABELS = 5  # of the axis of time, at most


@dataclass(frozen=True)
class Piece:
    """A part of a bar, in the colour of `name`."""

    name: str
    y: float
    height: float


@dataclass(frozen=True)
class Bar:
    """A bar at its place; `parts` say its numbers, the largest first."""

    time: int
    x: float
    width: float
    pieces: tuple[Piece, ...]
    total: int
    parts: tuple[tuple[str, int], ...]


def stack_bars(times: Sequence[int], counts: dict[int, dict[str, int]], order: Sequence[str]) -> list[Bar]:
    """Stacked bars, the first of `order` at the bottom. The highest takes all of the height, and what is not nothing can be seen."""
    highest = max((sum(found.values()) for found in counts.values()), default=0) or 1
    slot = WIDE / len(times)
    gap = min(3.0, slot / 5)
    bars = []
    for place, time in enumerate(times):
        found = counts.get(time, {})
        y, pieces = float(HIGH), []
        for name in order:
            if found.get(name):
                height = max(HIGH * found[name] / highest, 0.8)
                y -= height
                pieces.append(Piece(name, round(max(y, 0), 2), round(height, 2)))
        parts = tuple(sorted(((name, found[name]) for name in order if found.get(name)), key=lambda pair: -pair[1]))
        x, width = round(place * slot + gap / 2, 2), round(slot - gap, 2)
        bars.append(Bar(time, x, width, tuple(pieces), sum(found.values()), parts))
    return bars


def draw_line(values: Sequence[float | None], low: float, high: float) -> list[str]:
    """The points of a line, as polylines have them: one for each run of buckets that have a value. A run of one is a short dash."""
    slot, span = WIDE / max(len(values), 1), (high - low) or 1
    lines: list[str] = []
    run: list[tuple[float, float]] = []
    for place, value in enumerate([*values, None]):
        if value is not None:
            y = HIGH - HIGH * (min(max(value, low), high) - low) / span
            run.append(((place + 0.5) * slot, y))
            continue
        if len(run) == 1:
            (x, y) = run[0]
            run = [(x - slot / 3, y), (x + slot / 3, y)]
        if run:
            lines.append(" ".join(f"{x:.1f},{y:.1f}" for x, y in run))
        run = []
    return lines


def round_up(value: float) -> float:
    """The next round number (1, 2 or 5 and zeros), for the top of an axis."""
    if value <= 0:
        return 1
    size = 1.0
    while size * 10 <= value:
        size *= 10
    while size > value:
        size /= 10
    return next(size * one for one in (1, 2, 5, 10) if size * one >= value)


def label_times(times: Sequence[int]) -> list[int]:
    """Some of the times, at equal distances, for the axis."""
    many = min(LABELS, len(times))
    return [times[round(place * (len(times) - 1) / max(many - 1, 1))] for place in range(many)]
