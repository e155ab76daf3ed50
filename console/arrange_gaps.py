"""A channel's connection over the days of the log, for a strip of them: pure, from the rows of its connectivity log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from contracts.events import WORKING

DAYS = 21
SHORTEST = 5.0  # percent of a day's height that a gap is drawn with at least, so that it is seen
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Day:
    """One day (UTC) of a channel's connection."""

    date: date
    known: bool  # whether anything was known of it
    gaps: int
    down: timedelta
    delayed: int  # mails that came late by a gap that began on it
    bars: tuple[tuple[float, float], ...]  # where its gaps are: (begin, length) in percent of the day

    @property
    def tone(self) -> str:
        """How it is coloured."""
        if not self.known:
            return "calm"
        return "good" if not self.gaps else "wait" if self.down < timedelta(hours=1) else "bad"


def arrange_gaps(rows: Sequence[Mapping[str, Any]], now: datetime, days: int = DAYS) -> list[Day]:
    """The days up to today, oldest first. `rows` are those of the connectivity log, as the API tells them."""
    moments = [datetime.fromisoformat(row["occurred_at"]) for row in rows]
    first = min(moments, default=None)
    gaps = [
        (begin, datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else now, row["delayed"])
        for row, begin in zip(rows, moments, strict=True)
        if row["state"] not in WORKING
    ]
    found = []
    for back in range(days - 1, -1, -1):
        begin = datetime.combine(now.astimezone(UTC).date() - back * _DAY, time(), UTC)
        end = min(begin + _DAY, now)
        inside = [(max(one[0], begin), min(one[1], end)) for one in gaps if one[0] < end and one[1] > begin]
        found.append(
            Day(
                date=begin.date(),
                known=first is not None and first < end,
                gaps=len(inside),
                down=_together(inside),
                delayed=sum(one[2] for one in gaps if begin <= one[0] < begin + _DAY),
                bars=tuple(_bar(one, begin) for one in inside),
            )
        )
    return found


def share_up(days: Iterable[Day], rows: Sequence[Mapping[str, Any]], now: datetime) -> float | None:
    """The part of the time, 0 to 1, in which the mailbox could be read, of all that is known; None where nothing is."""
    if not rows:
        return None
    first = min(datetime.fromisoformat(row["occurred_at"]) for row in rows)
    known = max((now - first).total_seconds(), 1.0)
    return max(0.0, 1 - sum(day.down.total_seconds() for day in days) / known)


def lasted(row: Mapping[str, Any], now: datetime) -> str:
    """How long a gap took, or has taken so far: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`; "" where it is none."""
    if row["state"] in WORKING:
        return ""
    end = datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else now
    return span(end - datetime.fromisoformat(row["occurred_at"]))


def span(length: timedelta) -> str:
    """A length of time in its two largest units."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes = seconds // 60
    for unit, size, smaller, its in (("d", 1440, "h", 60), ("h", 60, "min", 1)):
        if minutes >= size:
            rest = minutes % size // its
            return f"{minutes // size} {unit} {rest} {smaller}" if rest else f"{minutes // size} {unit}"
    return f"{minutes} min {seconds % 60} s" if minutes < 5 and seconds % 60 else f"{minutes} min"


def _together(spans: Iterable[tuple[datetime, datetime]]) -> timedelta:
    """What they cover: gaps of two causes may overlap by a moment."""
    total, until = timedelta(), datetime.min.replace(tzinfo=UTC)
    for begin, end in sorted(spans):
        if end > until:
            total += end - max(begin, until)
            until = end
    return total


def _bar(one: tuple[datetime, datetime], day: datetime) -> tuple[float, float]:
    length = max((one[1] - one[0]) / _DAY * 100, SHORTEST)
    return round(min((one[0] - day) / _DAY * 100, 100 - length), 2), round(length, 2)
