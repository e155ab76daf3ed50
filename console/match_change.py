"""Whether a change of status is what a search asks for, as the store would say of its row (build_query.py). Pure."""

import re
from datetime import datetime
from typing import Any

from console.conditions import COLUMNS, NUMBERS, WITHIN, Condition, Junction, Term
from console.parse_filters import Filters
from contracts import clock
from contracts.changes import key_of
from mail.addresses import split_address

UNTOLD = frozenset({"from_name", "peer_ip", "provider", "source_id"})  # what a StatusChange does not carry
_KEYS = {"sender": "from", "attempts": "attempt"}  # of a StatusChange, where it is called otherwise than the column
_NUMBER_AT = re.compile(r"(<=|>=|<|>|=)(\d+)")


def untold(terms: tuple[Term, ...]) -> set[str]:
    """Filters that were asked for by name, and that no change of status can answer."""
    found: set[str] = set()
    for term in terms:
        if isinstance(term, Condition):
            found |= {term.name} & UNTOLD
        elif not term.said:  # a word is looked for wherever it may stand
            found |= untold(term.terms)
    return found


def matches(filters: Filters, change: dict[str, Any]) -> bool:
    """`change` is the data of a StatusChange, as JSON has it. A filter of `UNTOLD` finds nothing."""
    received = clock.utc(datetime.fromisoformat(change["received_at"]))
    if (filters.since is not None and received < filters.since) or (
        filters.until is not None and received >= filters.until
    ):
        return False
    return all(_holds(term, change) for term in filters.terms)


def _holds(term: Term, change: dict[str, Any]) -> bool:
    if isinstance(term, Junction):
        found = (any if term.any else all)(_holds(one, change) for one in term.terms)
    else:
        found = any(_is(term.name, value, change) for value in term.values)
    return found != term.exclude


def _is(name: str, value: str, change: dict[str, Any]) -> bool:
    if name == "domain":
        return value in (split_address(change["from"])[1], split_address(change["recipient"])[1])
    if name == "address":
        return _is("from", value, change) or _is("to", value, change)
    column = COLUMNS[name]
    text = str(change.get(_KEYS.get(column, column)) or "")
    if name in NUMBERS:
        return _compares(int(text or 0), value)
    if name in ("from", "to"):
        return _like(value, key_of(text), within="@" not in value)
    if name in WITHIN:
        return _like(value.lower(), text.lower(), within=True)
    if name == "reference":
        return text in (value, value.upper(), value.lower()) or _like(value, text)
    return _like(value, text)


def _compares(number: int, asked: str) -> bool:
    found = _NUMBER_AT.fullmatch(asked)
    if found is None:
        return False
    other = int(found[2])
    return {
        "<": number < other,
        ">": number > other,
        "<=": number <= other,
        ">=": number >= other,
        "=": number == other,
    }[found[1]]


def _like(pattern: str, text: str, *, within: bool = False) -> bool:
    """`*` is a wildcard. Without one the text is this, or with `within` contains it."""
    if "*" not in pattern:
        return pattern in text if within else pattern == text
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text, re.DOTALL) is not None
