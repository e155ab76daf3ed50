"""Addresses: their parts, their patterns, and the spellings that ask for relaying."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.addresses import asks_for_relay, matches, normalise, split_address


@pytest.mark.parametrize(
    ("address", "local", "domain"),
    [
        ("Anna@Example.COM", "Anna", "example.com"),
        ("<anna@x.test>", "anna", "x.test"),
        ('"a@b"@x.test', '"a@b"', "x.test"),
        ("anna@x.test.", "anna", "x.test"),
        ("", "", ""),
        ("<>", "", ""),
    ],
)
def test_an_address_has_two_parts(address: str, local: str, domain: str) -> None:
    assert split_address(address) == (local, domain)


def test_only_the_domain_loses_its_case() -> None:
    assert normalise("Anna.B@Example.COM") == "Anna.B@example.com" and normalise("") == ""


@pytest.mark.parametrize(
    ("pattern", "text", "whether"),
    [
        ("support@x.test", "Support@X.TEST", True),
        ("*@x.test", "anybody@x.test", True),
        ("*@x.test", "anybody@sub.x.test", False),
        ("*@x.test", "anybody@x.test.evil.test", False),
        ("*@*.x.test", "a@b.x.test", True),
        ("team-*@x.test", "team-@x.test", True),
        ("a.b@x.test", "aXb@x.test", False),
        ("[a]@x.test", "a@x.test", False),
        ("*", "", True),
        ("*", "two\nlines", True),
        ("a*", "xa", False),
    ],
)
def test_a_star_stands_for_anything_and_nothing_else_is_special(pattern: str, text: str, whether: bool) -> None:
    assert matches(pattern, text) is whether


@given(st.text(max_size=40))
def test_a_text_matches_itself_and_between_stars(text: str) -> None:
    assert matches(f"*{text}*", f"x{text}y") and (("*" in text) or matches(text, text))


def test_a_pattern_of_many_stars_is_answered_at_once() -> None:
    assert not matches("*a" * 12 + "b", "a" * 60)
    assert not matches("*foo*bar*baz*", "foo bar " * 20_000)
    assert matches("*foo*bar*baz*", "foo bar " * 20_000 + "baz")


@given(st.lists(st.sampled_from("ab*"), max_size=8), st.text(alphabet="ab", max_size=12))
def test_it_says_what_a_regular_expression_would_say(pattern: list[str], text: str) -> None:
    regular = "".join(".*" if piece == "*" else piece for piece in pattern)
    assert matches("".join(pattern), text) is (re.fullmatch(regular, text) is not None)


@pytest.mark.parametrize("address", ["a%b@us.test", "b!a@us.test", '"a@b"@us.test', "@us.test:a@b.test", "a@b@us.test"])
def test_a_second_address_inside_asks_for_relaying(address: str) -> None:
    assert asks_for_relay(address)
    assert not asks_for_relay("anna.b+tag=x_y-z/w@us.test")
