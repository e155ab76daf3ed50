"""What a list can be narrowed to by a click: values with their counts, each with the parameters of its next state. Pure.

A click on a value includes it, one more excludes it, and a third takes it out of the search. The state is in the URL: `domain=a,b` shows
both, `domain=!c` hides one, and a URL may have both.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.cover_hours import Span

Parameters = dict[str, str | list[str]]
# The parameter of a facet, and its heading.
FACETS = {
    "domain": "Domain",
    "template": "Template",
    "channel": "Channel",
    "bounce_class": "Bounce class",
    "provider": "Provider",
}
PRESETS = {
    "30m": "30 min",
    "1h": "1 h",
    "6h": "6 h",
    "24h": "24 h",
    "7d": "7 days",
    "21d": "21 days",
}


@dataclass(frozen=True)
class Choice:
    """One value of a facet. `then` are the parameters that a click changes."""

    value: str
    count: int | None
    state: str  # "", "included" or "excluded"
    then: dict[str, Any]


def choices(name: str, parameters: Parameters, found: list[tuple[str, int]]) -> list[Choice]:
    """The values of a facet, those that are chosen first."""
    included, excluded = chosen(parameters.get(name))
    counts = {_as_filter(value): count for value, count in found}
    named = {_as_filter(value): value for value, _ in found}
    values = list(dict.fromkeys([*included, *excluded, *counts]))
    made = []
    for value in values:
        if value in included:
            state, now = "included", ([one for one in included if one != value], [*excluded, value])
        elif value in excluded:
            state, now = "excluded", (included, [one for one in excluded if one != value])
        else:
            state, now = "", ([*included, value], excluded)
        made.append(Choice(named.get(value, value), counts.get(value), state, {name: _written(*now), "cursor": None}))
    return made


def chosen(given: str | list[str] | None) -> tuple[list[str], list[str]]:
    """The values of a parameter that are shown, and those that are hidden."""
    included: list[str] = []
    excluded: list[str] = []
    for text in [given] if isinstance(given, str) else given or []:
        kept = excluded if text.startswith("!") else included
        kept += [one.strip() for one in text.removeprefix("!").split(",") if one.strip()]
    return included, excluded


def presets(parameters: Parameters) -> list[dict[str, Any]]:
    """The times to choose from; the one that is chosen is `on`, and a click on it takes it away."""
    since = parameters.get("since") if not parameters.get("until") else None
    return [
        {
            "value": value,
            "label": label,
            "on": since == value,
            "then": {"since": None if since == value else value, "until": None, "cursor": None},
        }
        for value, label in PRESETS.items()
    ]


def span_words(span: Span, now: datetime) -> str:
    """`last 24 hours`; "" for a time that ended before now."""
    if span.high < now - timedelta(minutes=1):
        return ""
    seconds = round((span.high - span.low).total_seconds())
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size * (2 if unit == "day" else 1):
            many = round(seconds / size)
            return f"last {many} {unit}s" if many > 1 else f"last {unit}"
    return "last minute"


def _as_filter(value: str) -> str:
    """A value as a filter takes it: a comma separates values there, and `!` hides them; `*` stands for either."""
    text = value.replace(",", "*")
    return f"*{text[1:]}" if text.startswith("!") else text


def _written(included: list[str], excluded: list[str]) -> str | list[str] | None:
    parts = [",".join(included)] if included else []
    parts += [f"!{','.join(excluded)}"] if excluded else []
    return parts[0] if len(parts) == 1 else parts or None
