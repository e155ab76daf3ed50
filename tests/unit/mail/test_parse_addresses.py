"""Addresses: what a person could read in a field, and never an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mail.parse_addresses import count_mailboxes, parse_addresses, to_ascii_domain


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("joe@example.org", ["joe@example.org"]),
        ("Joe <joe@example.org>", ["joe@example.org"]),
        ('"Doe, Joe" <joe@example.org>, ann@example.net', ["joe@example.org", "ann@example.net"]),
        ("joe@example.org (Joe Doe)", ["joe@example.org"]),
        ("(a (nested) one) joe (x) @ (y) example . org", ["joe@example.org"]),
        ("Team: a@x.example, b@y.example;", ["a@x.example", "b@y.example"]),
        ("undisclosed-recipients:;", []),
        ("<@relay.example,@b.example:joe@example.org>", ["joe@example.org"]),
        ('"a b"@example.org', ['"a b"@example.org']),
        ("Joe <joe@BÜCHER.example>", ["joe@xn--bcher-kva.example"]),
        ("ceo@bank.example <joe@evil.example>", ["joe@evil.example", "ceo@bank.example"]),
        ("joe@bank.example@evil.example", ["joe@bank.example", "joe@bank.example@evil.example"]),
        ("a@x.example b@y.example", ["a@x.example", "b@y.example"]),
        ("<a@x.example> <b@y.example>", ["a@x.example", "b@y.example"]),
        ('"unclosed <joe@example.org>', ["joe@example.org"]),
        ("joe@[192.0.2.1]", ["joe"]),
        ("=?utf-8?q?ceo=40bank.example?= <joe@example.org>", ["joe@example.org"]),
        ("", []),
        ("<>", []),
        ('"', []),
    ],
)
def test_every_reading_is_found(text: str, specs: list[str]) -> None:
    assert [address.spec for address in parse_addresses(text)] == specs


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("joe@example.org", 1),
        ("J. R. Doe <joe@example.org>", 1),
        ('"Doe, Joe" <joe@example.org>', 1),
        ('"ceo@bank.example" <joe@example.org>', 1),
        ("=?utf-8?q?ceo=40bank.example?= <joe@example.org>", 1),
        ("joe@example.org (Joe Doe)", 1),
        ('"joe doe"@example.org', 1),
        ("Jörg <jörg@bücher.example>", 1),
        ("a@x.example, Bo <b@y.example>", 2),
        ("ceo@bank.example <joe@example.org>", 0),
        ("<ceo@bank.example> <joe@example.org>", 0),
        ("ceo@bank.example joe@example.org", 0),
        ("ceo@bank.example@example.org", 0),
        ("Team: joe@example.org;", 0),
        ("undisclosed-recipients:;", 0),
        ("Doe, Joe <joe@example.org>", 0),
        ("Joe <joe@example.org", 0),
        ('"Joe <joe@example.org>', 0),
        ("joe doe@example.org", 0),
        ("joe@example.org, ", 0),
        ("joe@[192.0.2.1]", 0),
        ("joe@-example", 0),
        ("joe", 0),
        ("", 0),
    ],
)
def test_a_list_of_mailboxes_has_one_reading(text: str, count: int) -> None:
    assert count_mailboxes(text) == count


def test_display_names_lose_their_quotes() -> None:
    assert parse_addresses('"Doe, \\"J\\"" <joe@example.org>')[0].display == 'Doe, "J"'


@given(st.text(alphabet='ab.@<>()[]",;:\\ \té\x00', max_size=60))
def test_no_text_raises(text: str) -> None:
    found = parse_addresses(text)
    if count_mailboxes(text) == 1:
        assert len(found) == 1 and found[0].domain, "what is one mailbox has one reading"


@pytest.mark.parametrize(
    "text", ["(" * 500_000, "<" * 500_000, '"\\' * 250_000, "a@b.example, " * 50_000, "@" * 500_000]
)
def test_hostile_text_is_cut(text: str) -> None:
    assert len(parse_addresses(text)) <= 1000


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("Example.ORG.", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a_b.example", "a_b.example"),
        ("a..b", ""),
        ("exa mple.org", ""),
        ("[192.0.2.1]", ""),
        ("x" * 64 + ".example", ""),
        ("é" * 300 + ".example", ""),
        ("-", ""),
        ("", ""),
    ],
)
def test_domains_become_a_labels(text: str, domain: str) -> None:
    assert to_ascii_domain(text) == domain
