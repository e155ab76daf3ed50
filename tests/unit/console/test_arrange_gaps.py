"""The strip of a channel's days."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.arrange_gaps import DAYS, arrange_gaps, lasted, share_up, span
from contracts import clock

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def row(state: str, ago: float, lasts: float | None = None, delayed: int = 0) -> dict[str, Any]:
    """`ago` and `lasts` in hours."""
    begin = NOW - timedelta(hours=ago)
    ended = clock.rfc3339(begin + timedelta(hours=lasts)) if lasts is not None else None
    return {"state": state, "occurred_at": clock.rfc3339(begin), "ended_at": ended, "delayed": delayed}


def test_days_say_how_long_it_was_away_and_how_many_mails_were_late() -> None:
    rows = [
        row("connection_dropped", 1),  # lasts
        row("recovered", 22),
        row("auth_failed", 26, 4, delayed=3),  # from 10:00 to 14:00 yesterday
        row("connection_dropped", 26.01, 0.01),
        row("tls_failed", 40, 6),  # over midnight: 20:00 to 02:00
        row("connected", 24 * 4),
    ]
    days = arrange_gaps(rows, NOW)
    assert len(days) == DAYS and days[-1].date == NOW.date()
    assert [day.known for day in days] == [False] * 16 + [True] * 5
    today, yesterday, before = days[-1], days[-2], days[-3]
    assert (today.gaps, today.down, today.bars) == (1, timedelta(hours=1), ((45.83, 5.0),))
    assert (yesterday.gaps, yesterday.delayed, yesterday.tone) == (3, 3, "bad")
    assert timedelta(hours=6) < yesterday.down < timedelta(hours=6, minutes=1)
    assert (before.gaps, before.down, before.bars[0][0]) == (1, timedelta(hours=4), 83.33)
    assert (days[-4].tone, days[0].tone) == ("good", "calm")
    share = share_up(days, rows, NOW)
    assert share is not None and 0.88 < share < 0.89  # 11 of 96 hours


def test_nothing_is_known_of_a_channel_that_never_spoke() -> None:
    days = arrange_gaps([], NOW)
    assert not any(day.known or day.gaps for day in days) and share_up(days, [], NOW) is None


def test_a_short_gap_is_seen_and_stays_within_its_day() -> None:
    (day,) = arrange_gaps([row("throttled", 0.001)], NOW, 1)
    assert day.tone == "wait" and day.bars[0][1] == 5.0 and sum(day.bars[0]) <= 100


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (45, "45 s"),
        (90, "1 min 30 s"),
        (720, "12 min"),
        (3600, "1 h"),
        (11100, "3 h 5 min"),
        (187200, "2 d 4 h"),
    ],
)
def test_lengths_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert span(timedelta(seconds=seconds)) == said


def test_only_gaps_last() -> None:
    assert lasted(row("recovered", 3), NOW) == ""
    assert lasted(row("auth_failed", 3), NOW) == "3 h"
    assert lasted(row("auth_failed", 3, 0.5), NOW) == "30 min"
