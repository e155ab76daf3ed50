from datetime import timedelta

import msgspec
import pytest

from console.tokens import Tokens, decode_token, new_token, token_record
from contracts import clock
from contracts.codec import decode
from contracts.errors import Unavailable
from contracts.shared_state import Token
from tests.fakes.token_table import TokenTable


@pytest.fixture
def table() -> TokenTable:
    return TokenTable()


def test_a_token_is_known_by_its_hash_only(table: TokenTable) -> None:
    text, token = new_token("desk", ["read"], ["Example.COM"])
    record = token_record(token)
    assert record.value is not None and text.encode() not in record.value and record.key == token.id
    table.put(decode(record.value, Token))
    found = Tokens(table).find(text)
    assert found is not None
    assert (found.name, found.scopes, found.domains) == ("desk", {"read"}, {"example.com"})


def test_other_tokens_are_unknown(table: TokenTable) -> None:
    token = table.create("desk", ["read"], [])
    (kept,) = table.snapshot().values()
    for other in ("", token[:-1], token + "x", token.upper(), kept.sha256, kept.id, "\udc80"):
        assert Tokens(table).find(other) is None


def test_a_new_token_counts_at_once_and_a_revoked_one_no_more(table: TokenTable) -> None:
    tokens = Tokens(table)
    assert tokens.find("ms_x") is None
    first = table.create("one", ["read"], [])
    second = table.create("two", ["read"], [])
    assert tokens.find(first) and tokens.find(second)
    (kept,) = (one for one in table.snapshot().values() if one.name == "one")
    table.put(msgspec.structs.replace(kept, revoked_at=clock.now()))
    assert tokens.find(first) is None and tokens.find(second) is not None


def test_before_the_tokens_are_known_nobody_is_called_a_stranger(table: TokenTable) -> None:
    token = table.create("one", ["read"], [])
    table.why_not_ready = "mail.tokens has not been read yet"
    with pytest.raises(Unavailable, match="has not been read yet"):
        Tokens(table).find(token)


def test_a_session_ends_with_its_token_when_that_ends_by_itself(table: TokenTable) -> None:
    tokens = Tokens(table)
    text = table.create("guest", ["read"], [])
    cookie = table.log_in(text)
    assert tokens.find_session(cookie) is not None
    (kept,) = (one for one in table.snapshot().values() if not one.session_of)
    table.put(msgspec.structs.replace(kept, expires_at=clock.now() + timedelta(hours=1)))
    assert tokens.find_session(cookie) is not None
    table.put(msgspec.structs.replace(kept, expires_at=clock.now() - timedelta(seconds=1)))
    assert tokens.find(text) is None and tokens.find_session(cookie) is None


def test_a_token_of_a_later_version_is_refused_and_not_taken_for_what_is_known_of_it(table: TokenTable) -> None:
    """While consoles are upgraded one after the other, an old one must not overlook a restriction that it does not know."""
    text, token = new_token("desk", ["read"], [])
    value = token_record(token).value
    assert value is not None and decode_token(value) == token
    later = value.replace(b'"name":"desk"', b'"name":"desk","only_on_weekdays":true')
    assert later != value and decode(later, Token) == token
    table.put(decode_token(later))
    assert Tokens(table).find(text) is None


def test_a_token_that_cannot_be_read_is_refused_whatever_was_known_of_it() -> None:
    assert decode_token(b'{"later": "form"}').revoked_at is not None
