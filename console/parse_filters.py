"""What is searched for: the parameters of `GET /api/v1/mails`, and the line of the search box (`q`, read_query.py). Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from console.answer_errors import Problem
from console.conditions import (
    COLUMNS,
    TIMES,
    Condition,
    Junction,
    Term,
    is_pattern,
    leaves,
    make_condition,
    unknown_filter,
)
from console.limit_search import limit_search
from console.masked_asker import is_masked
from console.read_query import read_query
from contracts import clock
from contracts.ids import received_ms
from contracts.setting_types import parse_duration

MAX_CONDITIONS = 30
MAX_PATTERNS = 60  # of all conditions together: values that are looked for within a text, each on its own
MAX_STARS = 10  # of one pattern
MAX_TEXT = 2000


@dataclass(frozen=True)
class Filters:
    """All terms must hold; times bound received_at, `since` included and `until` not."""

    terms: tuple[Term, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


def parse_filters(parameters: Iterable[tuple[str, str]], now: datetime) -> Filters:
    """The filters of a request. Problem 422 names the parameter that is unknown or wrong, 400 the one with which there are too many."""
    terms: list[Term] = []
    times: dict[str, datetime] = {}
    for name, value in parameters:
        if len(value) > MAX_TEXT:
            raise Problem(422, f"{name} is longer than {MAX_TEXT} characters", field=name)
        if name == "q":
            terms += read_query(value, lambda word, text: times.update({word: _time(text, now, "q")}))
        elif name in TIMES:
            times[name] = _time(value, now, name)
        elif name not in COLUMNS:
            raise unknown_filter(name, name)
        elif (condition := make_condition(name, value, False, name)) is not None:
            terms.append(condition)
        _bound(terms, name)
    if is_masked():
        terms = list(limit_search(tuple(terms)))
    since, until = times.get("since"), times.get("until")
    if since is not None and until is not None and since >= until:
        raise Problem(
            422, f"since ({clock.rfc3339(since)}) is not before until ({clock.rfc3339(until)})", field="since"
        )
    return _narrow(Filters(tuple(terms), since, until))


def _narrow(filters: Filters) -> Filters:
    """A mail_id holds the time at which its mail came: nothing else need be looked at."""
    moments = [
        clock.from_ms(received_ms(value))
        for term in filters.terms
        if isinstance(term, Condition) and term.name == "mail_id" and not term.exclude
        for value in term.values
        if _is_ours(value)
    ]
    if not moments:
        return filters
    since, until = min(moments), max(moments) + timedelta(milliseconds=1)
    return Filters(filters.terms, max(since, filters.since or since), min(until, filters.until or until))


def _is_ours(mail_id: str) -> bool:
    try:
        return 0 < received_ms(mail_id) < 1 << 42
    except ValueError:
        return False


def _bound(terms: list[Term], field: str) -> None:
    """What a search costs grows with its conditions, and with every pattern."""
    found = list(leaves(tuple(terms)))
    if _count(tuple(terms)) > MAX_CONDITIONS:
        raise Problem(400, f"a search has at most {MAX_CONDITIONS} conditions", code="invalid_filter", field=field)
    if sum(is_pattern(one.name, value) for one in found for value in one.values) > MAX_PATTERNS:
        raise Problem(400, f"a search has at most {MAX_PATTERNS} patterns", code="invalid_filter", field=field)
    if any(value.count("*") > MAX_STARS for one in found for value in one.values):
        raise Problem(400, f"a pattern has at most {MAX_STARS} *", code="invalid_filter", field=field)


def _count(terms: tuple[Term, ...]) -> int:
    """Conditions as they were written: a word that is looked for in several places is one."""
    return sum(_count(term.terms) if isinstance(term, Junction) and not term.said else 1 for term in terms)


def _time(value: str, now: datetime, field: str) -> datetime:
    """RFC 3339, a day, or how long ago (`2h`)."""
    text = value.strip()
    try:
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        # An unescaped + of a time zone arrives as a space.
        moment = datetime.fromisoformat(re.sub(r" (?=\d\d:\d\d$)", "+", text))
    except ValueError as error:
        raise Problem(
            422, f"'{text}' is no time: write 2026-11-03T12:00:00Z, or 2h for two hours ago", field=field
        ) from error
    moment = clock.utc(moment)
    if not datetime(1971, 1, 1, tzinfo=UTC) < moment < now + timedelta(days=36_500):
        raise Problem(422, f"'{text}' is out of range", field=field)
    return moment.astimezone(UTC)
