"""The steps of time that a chart is drawn in. Pure; moments are whole seconds of Unix time here."""

from datetime import datetime

from console.answer_errors import Problem
from contracts.setting_types import parse_duration

STEPS = (60, 120, 300, 600, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)  # seconds; each divides a day
WANTED = 42  # buckets of a chart, at most, where nobody asks for more
MOST = 1000


def choose_step(low: datetime, high: datetime) -> int:
    """The smallest step that makes no more buckets than are wanted, in seconds."""
    span = (high - low).total_seconds()
    return next((step for step in STEPS if span / step <= WANTED), STEPS[-1])


def read_step(text: str, low: datetime, high: datetime) -> int:
    """The step that was asked for, such as `1h`. Problem 422 when it is none, or makes more than MOST buckets."""
    try:
        step = int(parse_duration(text.strip()).total_seconds())
    except (ValueError, OverflowError) as error:
        raise Problem(422, f"'{text[:40]}' is no bucket: write 5m, 1h or 1d", field="bucket") from error
    if step not in STEPS:
        known = ", ".join(write_step(one) for one in STEPS)
        raise Problem(422, f"'{text[:40]}' is no bucket; known: {known}", field="bucket")
    if (high - low).total_seconds() / step > MOST:
        raise Problem(422, f"this bucket makes more than {MOST} of them: take a larger one", field="bucket")
    return step


def write_step(step: int) -> str:
    """`5m`, `1h`, `1d`."""
    for size, unit in ((86_400, "d"), (3600, "h")):
        if step % size == 0:
            return f"{step // size}{unit}"
    return f"{step // 60}m"


def buckets(low: datetime, high: datetime, step: int) -> list[int]:
    """The beginnings of all buckets that have a part of this time."""
    first = int(low.timestamp()) // step * step
    return list(range(first, max(first + 1, int(-(-high.timestamp() // 1))), step))
