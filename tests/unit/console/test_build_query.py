import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.build_query import Where, has_indexed, recipients_clause, terms_where
from console.conditions import COLUMNS, NUMBERS, Condition, Junction, Term

NOBODY: frozenset[str] = frozenset()


def where(*terms: Term) -> Where:
    return terms_where(terms, NOBODY)


def test_no_condition_holds_always() -> None:
    assert where().sql == "1"


def test_a_domain_wildcard_asks_the_domain_column() -> None:
    made = where(Condition("to", ("*@a.example",)))
    assert made.sql == "(recipient_domain = {p0:String})"
    assert made.parameters == {"p0": "a.example"}


def test_a_wildcard_escapes_what_like_knows() -> None:
    made = where(Condition("subject", ("100%_*\\",)))
    assert made.sql == "(lower(subject) LIKE {p0:String})"
    assert made.parameters == {"p0": "100\\%\\_%\\\\"}


def test_a_subject_without_a_wildcard_is_looked_for_within() -> None:
    assert where(Condition("subject", ("Fire",))).parameters == {"p0": "%fire%"}


def test_excluding_negates_the_whole_condition() -> None:
    made = where(Condition("from", ("a@b.example", "*@c.example"), exclude=True))
    assert made.sql == "NOT ((lower(sender) IN {p0:Array(String)} OR sender_domain = {p1:String}))"


def test_a_limited_token_is_bound_to_its_own_side() -> None:
    made = terms_where((), frozenset({"b.example", "a.example"}))
    assert made.sql == "if(direction = 'inbound', recipient_domain, sender_domain) IN {p0:Array(String)}"
    assert made.parameters == {"p0": ["a.example", "b.example"]}


@pytest.mark.parametrize(
    ("condition", "indexed"),
    [
        (Condition("from", ("a@b.example",)), True),
        (Condition("subject", ("word",)), True),
        (Condition("from", ("a@b.example",), exclude=True), False),
        (Condition("to", ("*smith@b.example",)), False),
        (Condition("status", ("sent",)), False),
    ],
)
def test_only_conditions_that_find_few_rows_use_an_index(condition: Condition, indexed: bool) -> None:
    assert has_indexed((condition,)) is indexed


@pytest.mark.parametrize(
    ("values", "clause"),
    [
        (("a@b.example",), "(recipient IN {p0:Array(String)})"),
        (("joe*", "a@b.example"), "(recipient LIKE {p0:String} OR recipient IN {p1:Array(String)})"),
        (("*@b.example",), None),
        (("joe*", "*x"), None),
        (("joe",), None),  # part of an address, anywhere
    ],
)
def test_whole_addresses_and_beginnings_use_the_table_of_recipients(
    values: tuple[str, ...], clause: str | None
) -> None:
    assert recipients_clause(Condition("to", values), Where()) == clause
    assert recipients_clause(Condition("to", values, exclude=True), Where()) is None
    assert recipients_clause(Condition("from", values), Where()) is None


texts = st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=4).map(tuple)
numbers = st.lists(st.from_regex(r"(<=|>=|<|>|=)[0-9]{1,18}", fullmatch=True), min_size=1, max_size=4).map(tuple)
conditions = st.one_of(
    st.builds(Condition, st.sampled_from(sorted({*COLUMNS, "address"} - NUMBERS)), texts, st.booleans()),
    st.builds(Condition, st.sampled_from(sorted(NUMBERS)), numbers, st.booleans()),
)
terms = st.recursive(
    conditions,
    lambda inner: st.builds(Junction, st.lists(inner, min_size=1, max_size=3).map(tuple), st.booleans(), st.booleans()),
    max_leaves=6,
)


@given(st.lists(terms, max_size=5), st.frozensets(st.text(min_size=1), max_size=2))
def test_no_value_ever_stands_in_the_sql(given_: list[Term], domains: frozenset[str]) -> None:
    made = terms_where(tuple(given_), domains)
    placeholders = re.findall(r"\{(p\d+):(?:String|UInt64|Array\((?:String|UUID)\))\}", made.sql)
    assert sorted(placeholders) == sorted(made.parameters) or set(placeholders) == set(made.parameters)
    # Without its placeholders the SQL is made of our own words only.
    rest = re.sub(r"\{p\d+:(?:String|UInt64|Array\((?:String|UUID)\))\}", "", made.sql)
    own = {"NOT", "AND", "OR", "IN", "LIKE", "lower", "if", "direction", "inbound", "1"}
    own |= {*COLUMNS.values(), "sender_domain", "recipient_domain"}
    assert set(re.findall(r"\w+", rest)) <= own
    assert set(re.sub(r"\w", "", rest)) <= set("()=<>', ")
