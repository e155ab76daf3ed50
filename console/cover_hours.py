"""What the table of hours can say of mails, and what it cannot (sinks/clickhouse/build_hours.py fills it). Pure."""

from dataclasses import dataclass
from datetime import datetime

from console.build_query import Where
from console.conditions import Condition
from console.parse_filters import Filters

KEPT = frozenset(
    {"", "domain", "template", "channel", "bounce_class", "provider"}
)  # dimensions that it has; "" is all mails together
FROM_HOURS = (
    "FROM hours FINAL ARRAY JOIN direction AS one_direction, value AS one_value, word AS one_word, mails AS one_mails"
)


@dataclass(frozen=True)
class Span:
    """A time to count over, its end not included."""

    low: datetime
    high: datetime


@dataclass(frozen=True)
class Hours:
    """Whole hours, those of them that have changed since they were counted, and the times that the log has to answer for."""

    whole: Span
    changed: list[datetime]
    parts: list[Span]


def in_hours(measure: str, dimension: str, filters: Filters, domains: frozenset[str]) -> bool:
    """Whether the table of hours can say it: it knows no mail, and no two dimensions of one."""
    if domains or dimension not in KEPT:
        return False
    asked = ""
    for term in filters.terms:
        if not isinstance(term, Condition):
            return False
        if term.name == "direction" or (term.name == "status" and measure == "status"):
            continue
        # A mail between two domains has two values, and a template is looked for within its text.
        plain = term.name in KEPT - {"template"} and len(term.values) == 1 and "*" not in term.values[0]
        if not plain or term.exclude or asked or dimension not in ("", term.name):
            return False
        if dimension == "domain":  # the other domain of the same mails is not there
            return False
        asked = term.name
    return True


def dimension_asked(filters: Filters) -> str:
    """The dimension that a filter names a value of; "" when none does."""
    names = [term.name for term in filters.terms if isinstance(term, Condition)]
    return next((name for name in names if name in KEPT), "")


def hours_where(measure: str, dimensions: list[str], filters: Filters, hours: Hours) -> Where:
    """What must hold for a count of the table of hours."""
    where = Where()
    where.add(f"measure = '{measure}' AND dimension IN {where.bind(dimensions, 'Array(String)')}")
    where.add(f"hour >= {_second(where, hours.whole.low)} AND hour < {_second(where, hours.whole.high)}")
    if hours.changed:
        seconds = [int(one.timestamp()) for one in hours.changed]
        where.add(f"toUInt32(hour) NOT IN {where.bind(seconds, 'Array(UInt32)')}")
    for term in filters.terms:
        if isinstance(term, Condition):
            column = {"direction": "one_direction", "status": "one_word"}.get(term.name, "one_value")
            excluded = "NOT " if term.exclude else ""
            where.add(f"{column} {excluded}IN {where.bind(list(term.values), 'Array(String)')}")
    return where


def _second(where: Where, moment: datetime) -> str:
    return f"toDateTime({where.bind(int(moment.timestamp()), 'UInt32')}, 'UTC')"
