from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.answer_errors import Problem
from console.conditions import COLUMNS, MAX_VALUES, Condition, Junction, Term, leaves
from console.parse_filters import MAX_CONDITIONS, MAX_PATTERNS, MAX_STARS, MAX_TEXT, Filters, parse_filters

NOW = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)


def parsed(**parameters: str) -> Filters:
    return parse_filters([(name.rstrip("_"), value) for name, value in parameters.items()], NOW)


def either(**found: str) -> Junction:
    return Junction(tuple(Condition(name, (value,)) for name, value in found.items()), any=True)


def anywhere(text: str) -> Junction:
    return either(subject=text, address=text.lower(), from_name=text, smtp_text=text, host=text, reference=text)


def test_several_values_with_commas_are_or() -> None:
    assert parsed(status="deferred, delivery_failed,").terms == (Condition("status", ("deferred", "delivery_failed")),)


def test_a_leading_exclamation_mark_excludes_all_values() -> None:
    assert parsed(to="!*@a.example,b@c.example").terms == (
        Condition("to", ("*@a.example", "b@c.example"), exclude=True),
    )


def test_a_comma_means_or_in_a_subject_too() -> None:
    assert parsed(subject="Hello, world").terms == (Condition("subject", ("Hello", "world")),)


def test_words_without_case_lose_it_and_others_keep_it() -> None:
    assert parsed(from_="Anna@Example.COM").terms[0].values == ("anna@example.com",)
    assert parsed(status="DELIVERED").terms[0].values == ("delivered",)
    assert parsed(reference="IT-42").terms[0].values == ("IT-42",)


@pytest.mark.parametrize("given_", ["<a@b>", "a@b", " <a@b> "])
def test_a_message_id_may_have_its_brackets(given_: str) -> None:
    assert parsed(message_id=given_).terms == (Condition("message_id", ("a@b",)),)


def test_a_query_says_the_same_as_its_parameters() -> None:
    line = 'status:deferred,delivery_failed to:*@example.net since:2h -subject:"two words" anna@x.example news'
    filters = parsed(q=line)
    assert filters.since == NOW - timedelta(hours=2)
    assert filters.terms == (
        Condition("status", ("deferred", "delivery_failed")),
        Condition("to", ("*@example.net",)),
        Condition("subject", ("two words",), exclude=True),
        either(address="anna@x.example", message_id="anna@x.example"),
        anywhere("news"),
    )


def test_double_negation_is_none() -> None:
    assert parsed(q="-status:!sent").terms == (Condition("status", ("sent",)),)


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
        ("zzz", "x", "known: direction"),
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
        assert all(one.name in {*COLUMNS, "address"} and one.values for one in leaves(filters.terms))


@given(st.lists(st.from_regex(r"[a-z0-9äß_%*]{1,12}", fullmatch=True), min_size=1, max_size=6), st.booleans())
def test_quoted_words_come_out_as_they_went_in(words: list[str], exclude: bool) -> None:
    phrase = " ".join(words)
    sign = "-" if exclude else ""
    assert parsed(q=f'{sign}subject:"{phrase}"').terms == (Condition("subject", (phrase,), exclude),)
    said = parsed(q=f'{sign}"status:{phrase} a"').terms
    assert next(one.values for one in leaves(said)) == (f"status:{phrase} a",) and said[0].exclude is exclude


@pytest.mark.parametrize(
    "given",
    [
        [("subject", "a")] * (MAX_CONDITIONS + 1),
        [("q", "-a " * (MAX_CONDITIONS + 1))],
        [("q", "-a " * (MAX_PATTERNS // 5)), ("subject", "sent")],
        [("q", "(" * 11 + "a")],
        [("q", "a " * 101)],
        [("q", " OR ".join(["to:a@b.test"] * (MAX_CONDITIONS + 1)))],
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
    assert len(parse_filters([*patterns, *exact], NOW).terms) == MAX_CONDITIONS


ADDRESS = either(address="anna.kowalska@acme.example", message_id="anna.kowalska@acme.example")
ID = "01a206f7-6b43-7745-9bab-87fa221dd751"


@pytest.mark.parametrize(
    ("pasted", "terms"),
    [
        ("<CAF+x1@mail.acme.example>", [either(address="caf+x1@mail.acme.example", message_id="CAF+x1@mail.acme.example")]),
        (ID, [Condition("mail_id", (ID,))]),
        (ID.upper(), [Condition("mail_id", (ID,))]),
        ("it-74", [either(reference="it-74", subject="it-74")]),
        ("@Acme.example", [Condition("domain", ("acme.example",))]),
        ("acme.example", [either(domain="acme.example", address="acme.example", host="acme.example", subject="acme.example")]),
        ("anna.kowalska@acme.example,", [ADDRESS]),
        ("Anna Kowalska <anna.kowalska@acme.example>", [ADDRESS]),
        ('"Kowalska, Anna" <anna.kowalska@acme.example>', [anywhere("Kowalska, Anna"), ADDRESS]),
        ("5.1.1", [Condition("enhanced_code", ("5.1.1",))]),
        ("550", [either(smtp_code="=550", subject="550")]),
        ("192.0.2.7", [either(peer_ip="192.0.2.7", smtp_text="192.0.2.7")]),
        ("mailbox full", [anywhere("mailbox"), anywhere("full")]),
        ("Status:failed", [Condition("status", ("failed",))]),
        ("status:Delivery-Failed", [Condition("status", ("delivery_failed",))]),
        ("Message-ID:<x@y.test>", [Condition("message_id", ("x@y.test",))]),
        ("to:@acme.example", [Condition("to", ("*@acme.example",))]),
        ("to:Anna@", [Condition("to", ("anna@*",))]),
        ("size:>1MiB attempts>=3", [Condition("size", (">1048576",)), Condition("attempts", (">=3",))]),
        ("rejected:", [anywhere("rejected")]),
        ("OR", [anywhere("OR")]),
        ("NOT", [anywhere("NOT")]),
        ("to:a@b.test OR", [Condition("to", ("a@b.test",))]),
        ("to:a@b.test OR from:c@d.test", [Junction((Condition("to", ("a@b.test",)), Condition("from", ("c@d.test",))), any=True)]),
        (
            "status:failed AND (to:a@b.test OR NOT reference:x)",
            [
                Condition("status", ("failed",)),
                Junction((Condition("to", ("a@b.test",)), Condition("reference", ("x",), exclude=True)), any=True),
            ],
        ),
        ("-(to:a@b.test tag:x)", [Junction((Condition("to", ("a@b.test",)), Condition("tag", ("x",))), any=False, exclude=True)]),
        (
            "Your request has been updated by Anna Kowalska (again)",
            [
                either(
                    subject="Your request has been updated by Anna Kowalska (again)",
                    smtp_text="Your request has been updated by Anna Kowalska (again)",
                )
            ],
        ),
        ("https://acme.example/x?y=1", [anywhere("https://acme.example/x?y=1")]),
    ],
)  # fmt: skip
def test_whatever_is_pasted_is_read_by_its_shape(pasted: str, terms: list[Term]) -> None:
    found = parsed(q=pasted).terms
    if pasted.startswith("https"):  # it is long and has a digit, as a part of a Message-ID may
        assert isinstance(found[0], Junction) and found[0].terms[:6] == anywhere(pasted).terms
    else:
        assert list(found) == terms


def test_a_mail_id_says_when_to_look() -> None:
    filters = parsed(q=ID)
    assert filters.since is not None and filters.until == filters.since + timedelta(milliseconds=1)
    assert parsed(q=f"{ID} OR x").since is None


@pytest.mark.parametrize("line", ["a OR since:2h", "(until:2h)", "NOT since:2h", "-since:2h"])
def test_a_time_holds_for_the_whole_search(line: str) -> None:
    with pytest.raises(Problem) as caught:
        parsed(q=line)
    assert caught.value.status == 422 and "whole search" in caught.value.message


def test_since_later_than_until_is_no_search() -> None:
    with pytest.raises(Problem) as caught:
        parsed(since="1h", until="2h")
    assert caught.value.status == 422 and "is not before until" in caught.value.message


@pytest.mark.parametrize("value", [">x", "1.5.5", "-1", ">", "9" * 30])
def test_a_number_that_is_none_is_named(value: str) -> None:
    with pytest.raises(Problem) as caught:
        parsed(attempts=value)
    assert (caught.value.status, caught.value.field) == (422, "attempts")
