"""What is searched for: the parameters of `GET /api/v1/mails` and the one-line syntax of `q`, as conditions. Pure."""

import difflib
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from console.answer_errors import Problem
from contracts.setting_types import parse_duration
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status

# The name of a filter: the column that it looks at.
COLUMNS = {
    "direction": "direction",
    "status": "status",
    "from": "sender",
    "to": "recipient",
    "subject": "subject",
    "message_id": "message_id",
    "reference": "reference",
    "channel": "channel",
    "stream": "stream",
    "template": "template",
    "domain": "domain",
    "spf": "spf",
    "dkim": "dkim",
    "dmarc": "dmarc",
    "bounce_type": "bounce_type",
    "bounce_class": "bounce_class",
    "reason": "reason",
    "source": "source",
}
WORDS: dict[str, frozenset[str]] = {
    "direction": frozenset(Direction),
    "status": frozenset(Status),
    "bounce_type": frozenset(BounceType),
    "bounce_class": frozenset(BounceClass),
    "reason": frozenset(Reason),
}
TIMES = ("since", "until")
MAX_CONDITIONS = 30
MAX_VALUES = 100  # of one condition
MAX_PATTERNS = 60  # of all conditions together: values that are looked for within a text, each on its own
MAX_STARS = 10  # of one pattern
MAX_TEXT = 2000


@dataclass(frozen=True)
class Condition:
    """One filter: any of `values` (patterns where `*` is a wildcard), or none of them with `exclude`."""

    name: str
    values: tuple[str, ...]
    exclude: bool = False


@dataclass(frozen=True)
class Filters:
    """All conditions must hold; times bound received_at, `since` included and `until` not."""

    conditions: tuple[Condition, ...] = ()
    since: datetime | None = None
    until: datetime | None = None


def parse_filters(parameters: Iterable[tuple[str, str]], now: datetime) -> Filters:
    """The filters of a request. Problem 422 names the parameter that is unknown or wrong, 400 the one with which there are too many."""
    conditions: list[Condition] = []
    times: dict[str, datetime] = {}
    for name, value in parameters:
        if len(value) > MAX_TEXT:
            raise Problem(422, f"{name} is longer than {MAX_TEXT} characters", field=name)
        if name == "q":
            for word, text, exclude in split_query(value):
                _add(word, text, exclude, conditions, times, now, "q")
                _bound(conditions, "q")
        else:
            _add(name, value, False, conditions, times, now, name)
            _bound(conditions, name)
    return Filters(tuple(conditions), times.get("since"), times.get("until"))


def _bound(conditions: list[Condition], field: str) -> None:
    """What a search costs grows with its conditions, and with every pattern."""
    if len(conditions) > MAX_CONDITIONS:
        raise Problem(400, f"a search has at most {MAX_CONDITIONS} conditions", code="invalid_filter", field=field)
    if sum(_is_pattern(one.name, value) for one in conditions for value in one.values) > MAX_PATTERNS:
        raise Problem(400, f"a search has at most {MAX_PATTERNS} patterns", code="invalid_filter", field=field)
    if any(value.count("*") > MAX_STARS for one in conditions for value in one.values):
        raise Problem(400, f"a pattern has at most {MAX_STARS} *", code="invalid_filter", field=field)


def _is_pattern(name: str, value: str) -> bool:
    """Whether the store looks for it within a text (`build_query.py`)."""
    return "*" in value or name == "subject" or (name in ("from", "to", "address") and "@" not in value)


def split_query(text: str) -> list[tuple[str, str, bool]]:
    """(filter, value, exclude) of each word of a query; a word without a filter looks for itself in the subject, or with an
    @ in sender and recipient."""
    try:
        lexer = shlex.shlex(text, posix=True)
        lexer.whitespace_split, lexer.commenters, lexer.quotes, lexer.escape = True, "", '"', ""
        words = list(lexer)
    except ValueError as error:
        raise Problem(422, "a quotation mark is not closed", field="q") from error
    found = []
    for word in words:
        exclude = word.startswith(("-", "!")) and len(word) > 1
        bare = word[1:] if exclude else word
        name, colon, value = bare.partition(":")
        if colon and re.fullmatch(r"[a-z_]+", name):
            found.append((name, value, exclude))
        elif "@" in bare:
            found.append(("address", bare, exclude))
        else:
            found.append(("subject", bare, exclude))
    return found


def _add(
    name: str,
    value: str,
    exclude: bool,
    conditions: list[Condition],
    times: dict[str, datetime],
    now: datetime,
    field: str,
) -> None:
    if name in TIMES:
        times[name] = _time(value, now, field)
        return
    if name not in COLUMNS and not (name == "address" and field == "q"):
        close = difflib.get_close_matches(name, [*COLUMNS, *TIMES, "q", "limit", "cursor"], n=1, cutoff=0.5)
        hint = f"; did you mean '{close[0]}'?" if close else f" (known: {', '.join([*COLUMNS, *TIMES])})"
        raise Problem(422, f"there is no filter '{name}'{hint}", code="unknown_filter", field=field)
    if value.startswith("!"):
        exclude, value = not exclude, value[1:]
    parts = value.split(",")
    values = tuple(_clean(name, part) for part in parts if part.strip())
    if not values:
        return  # an empty field of a form filters nothing
    if len(values) > MAX_VALUES:
        raise Problem(422, f"{name} has more than {MAX_VALUES} values", field=field)
    allowed = WORDS.get(name)
    for one in values:
        if allowed is not None and one not in allowed:
            close = difflib.get_close_matches(one, allowed, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(allowed))}"
            raise Problem(422, f"'{one}' is no {name}; {hint}", field=field)
    conditions.append(Condition(name, values, exclude))


def _clean(name: str, value: str) -> str:
    value = value.strip()
    if name == "message_id":
        return value.strip("<>")
    return value if name in ("subject", "reference", "channel", "stream", "template", "source") else value.lower()


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
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not datetime(1971, 1, 1, tzinfo=UTC) < moment < now + timedelta(days=36_500):
        raise Problem(422, f"'{text}' is out of range", field=field)
    return moment.astimezone(UTC)
