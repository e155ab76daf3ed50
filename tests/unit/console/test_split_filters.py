"""A search in several columns is several searches of one, which find no mail twice."""

from datetime import UTC, datetime

from console.conditions import Condition
from console.parse_filters import parse_filters
from console.split_filters import split_terms

NOW = datetime(2026, 11, 3, tzinfo=UTC)


def split(line: str) -> list[tuple[object, ...]]:
    return list(split_terms(parse_filters([("q", line)], NOW).terms))


def test_an_address_is_the_recipients_or_else_the_senders() -> None:
    address = ("anna@good.example",)
    first, second, third = split("anna@good.example status:deferred")
    to, sender = Condition("to", address), Condition("from", address)
    assert first[0] == to and second[:2] == (sender, Condition("to", address, exclude=True))
    assert third[0] == Condition("message_id", address)
    assert set(third[1:3]) == {Condition("to", address, exclude=True), Condition("from", address, exclude=True)}
    assert all(one[-1] == Condition("status", ("deferred",)) for one in (first, second, third))


def test_what_has_no_index_in_every_part_is_looked_for_at_once() -> None:
    for line in ("printer", "from:a@b.example OR status:failed", "-anna@good.example", "status:failed", ""):
        assert len(split(line)) == 1, line
