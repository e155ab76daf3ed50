"""A session is a record of its own among the tokens: it ends by log-out, by time, with its token, or when there are too many."""

from datetime import timedelta

import msgspec
import pytest

from console import sessions as module
from console.sessions import Sessions
from console.tokens import SESSION_LASTS, Principal, Tokens
from contracts import clock
from tests.fakes.token_table import TokenTable


@pytest.fixture
def table() -> TokenTable:
    return TokenTable()


def principal_of(table: TokenTable, token: str) -> Principal:
    found = Tokens(table).find(token)
    assert found is not None
    return found


async def test_a_session_has_the_rights_of_its_token_and_is_not_the_token(table: TokenTable) -> None:
    token = table.create("desk", ["read", "raw"], ["example.com"])
    cookie = await Sessions(table, table).begin(principal_of(table, token))
    tokens = Tokens(table)
    session = tokens.find_session(cookie)
    assert session is not None and cookie != token
    assert (session.name, session.scopes, session.domains) == ("desk", {"read", "raw"}, {"example.com"})
    assert (
        tokens.find(cookie) is None and tokens.find_session(token) is None
    )  # what leaks from one place is no use in the other
    assert cookie not in str(table.snapshot())


async def test_log_out_ends_one_session_and_no_other(table: TokenTable) -> None:
    token = table.create("desk", ["read"], [])
    sessions, tokens = Sessions(table, table), Tokens(table)
    first, second = [await sessions.begin(principal_of(table, token)) for _ in range(2)]
    ended = tokens.find_session(first)
    assert ended is not None
    await sessions.end(ended.id)
    assert tokens.find_session(first) is None and tokens.find_id(ended.id) is None
    assert tokens.find_session(second) is not None and tokens.find(token) is not None


async def test_a_session_ends_with_its_token_and_with_time(table: TokenTable, monkeypatch: pytest.MonkeyPatch) -> None:
    token, other = table.create("one", ["read"], []), table.create("two", ["read"], [])
    sessions, tokens = Sessions(table, table), Tokens(table)
    cookies = [await sessions.begin(principal_of(table, each)) for each in (token, other)]
    (kept,) = (one for one in table.snapshot().values() if one.name == "one" and not one.session_of)
    table.put(msgspec.structs.replace(kept, revoked_at=clock.now()))
    assert [tokens.find_session(cookie) is not None for cookie in cookies] == [False, True]
    later = clock.now() + SESSION_LASTS + timedelta(seconds=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert tokens.find_session(cookies[1]) is None and tokens.find(other) is not None


async def test_the_sessions_of_a_token_do_not_pile_up(table: TokenTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 3)
    token = table.create("desk", ["read"], [])
    sessions, tokens = Sessions(table, table), Tokens(table)
    cookies = [await sessions.begin(principal_of(table, token)) for _ in range(5)]
    assert [tokens.find_session(cookie) is not None for cookie in cookies] == [False, False, True, True, True]
    assert len(table.snapshot()) == 1 + 3
