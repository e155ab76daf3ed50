from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.answer_errors import Problem
from console.parse_filters import (
    COLUMNS,
    MAX_CONDITIONS,
    MAX_PATTERNS,
    MAX_STARS,
    MAX_TEXT,
    MAX_VALUES,
    Condition,
    Filters,
    parse_filters,
    split_query,
)

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


def parsed(**parameters: str) -> Filters:
    return parse_filters([(name.rstrip("_"), value) for name, value in parameters.items()], NOW)


def test_several_values_with_commas_are_or() -> None:
    assert parsed(status="deferred, delivery_failed,").conditions == (
        Condition("status", ("deferred", "delivery_failed")),
    )


def test_a_leading_exclamation_mark_excludes_all_values() -> None:
    assert parsed(to="!*@a.example,b@c.example").conditions == (
        Condition("to", ("*@a.example", "b@c.example"), exclude=True),
    )


def test_a_comma_means_or_in_a_subject_too() -> None:
    assert parsed(subject="Hello, world").conditions == (Condition("subject", ("Hello", "world")),)


def test_words_without_case_lose_it_and_others_keep_it() -> None:
    assert parsed(from_="Anna@Example.COM").conditions[0].values == ("anna@example.com",)
    assert parsed(status="DELIVERED").conditions[0].values == ("delivered",)
    assert parsed(reference="IT-42").conditions[0].values == ("IT-42",)


@pytest.mark.parametrize("given_", ["<a@b>", "a@b", " <a@b> "])
def test_a_message_id_may_have_its_brackets(given_: str) -> None:
    assert parsed(message_id=given_).conditions == (Condition("message_id", ("a@b",)),)


def test_a_query_says_the_same_as_its_parameters() -> None:
    line = 'status:deferred,delivery_failed to:*@example.net since:2h -subject:"two words" anna@x.example news'
    filters = parsed(q=line)
    assert filters.since == NOW - timedelta(hours=2)
    assert filters.conditions == (
        Condition("status", ("deferred", "delivery_failed")),
        Condition("to", ("*@example.net",)),
        Condition("subject", ("two words",), exclude=True),
        Condition("address", ("anna@x.example",)),
        Condition("subject", ("news",)),
    )


def test_double_negation_is_none() -> None:
    assert parsed(q="-status:!sent").conditions == (Condition("status", ("sent",)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", NOW - timedelta(hours=2)),
        ("2026-11-03T10:00:00Z", datetime(2026, 11, 3, 10, tzinfo=UTC)),
        ("2026-11-03T10:00:00.120+02:00", datetime(2026, 11, 3, 8, 0, 0, 120_000, tzinfo=UTC)),
        ("2026-11-03T10:00:00 02:00", datetime(2026, 11, 3, 8, tzinfo=UTC)),  # a + that arrived as a space
        ("2026-11-03", datetime(2026, 11, 3, tzinfo=UTC)),
    ],
)
def test_times_are_moments_or_ages(text: str, expected: datetime) -> None:
    assert parsed(since=text).since == expected


@pytest.mark.parametrize("text", ["soon", "0001-01-01", "9999-12-31", "99999999999999999999d", "-5h"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(Problem) as caught:
        parsed(until=text)
    assert (caught.value.status, caught.value.field) == (422, "until")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("statuss", "sent", "did you mean 'status'"),
        ("frobnicate", "x", "known: direction"),
        ("status", "deliverd", "did you mean 'delivered'"),
        ("reason", "zzz", "known: "),
        ("q", "zz:top", "there is no filter 'zz'"),
        ("q", 'a "b', "quotation mark"),
        ("subject", "x" * (MAX_TEXT + 1), "longer than"),
        ("to", ",".join("a" * (MAX_VALUES + 1)), "more than"),
        ("address", "a@b", "no filter"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(Problem) as caught:
        parsed(**{name: value})
    assert caught.value.status == 422
    assert message in caught.value.message
    assert caught.value.field == name


@given(st.text(max_size=200))
def test_any_query_is_understood_or_refused(text: str) -> None:
    try:
        filters = parse_filters([("q", text)], NOW)
    except Problem as problem:
        assert problem.status in (400, 422)
    else:
        assert all(condition.name in {*COLUMNS, "address"} and condition.values for condition in filters.conditions)


@given(st.lists(st.from_regex(r"[a-z0-9äß_%*]{1,12}", fullmatch=True), min_size=1, max_size=6), st.booleans())
def test_quoted_words_come_out_as_they_went_in(words: list[str], exclude: bool) -> None:
    phrase = " ".join(words)
    assert split_query(f'{"-" if exclude else ""}subject:"{phrase}"') == [("subject", phrase, exclude)]
    assert [value for _, value, _ in split_query(phrase)] == words


@pytest.mark.parametrize(
    "given",
    [
        [("subject", "a")] * (MAX_CONDITIONS + 1),
        [("q", "-a " * (MAX_CONDITIONS + 1))],
        [("q", "a " * MAX_CONDITIONS), ("status", "sent")],
        [("reference", ",".join(["*a"] * MAX_PATTERNS)), ("to", "b")],
        [("subject", ",".join(["a@b.test"] * (MAX_PATTERNS + 1)))],
        [("channel", "*a" * (MAX_STARS + 1))],
    ],
)
def test_a_search_that_costs_too_much_is_refused_before_it_is_asked(given: list[tuple[str, str]]) -> None:
    with pytest.raises(Problem) as caught:
        parse_filters(given, NOW)
    assert (caught.value.status, caught.value.code, caught.value.field) == (400, "invalid_filter", given[-1][0])


def test_as_many_conditions_and_patterns_as_are_allowed_are_taken() -> None:
    patterns = [("subject", "*a*"), ("to", ",".join(["*b"] * (MAX_PATTERNS - 1)))]
    exact = [("reference", ",".join(["x"] * 100))] * (MAX_CONDITIONS - 2)
    assert len(parse_filters([*patterns, *exact], NOW).conditions) == MAX_CONDITIONS
