"""The token before the body, and the body within its bounds: what is refused is not read."""

import asyncio
import json
from typing import Any

import pytest
from fastapi import FastAPI

from console import admit_requests
from console.admit_requests import LARGEST_FORM, LargeBody, ReadBody, TokenFirst
from console.slow_guesses import Guesses
from console.tokens import Tokens
from tests.fakes.token_table import TokenTable

LARGE = {"/api/v1/large": LargeBody(1000, "send")}


class Asked:
    """One request through the middleware, and what came of it."""

    def __init__(
        self, chunks: list[bytes], *, length: str | None = "", ending: bool = True, hangs: bool = False
    ) -> None:
        self.chunks = list(chunks)
        self.length = str(sum(map(len, chunks))) if length == "" else length
        self.ending = ending
        self.hangs = hangs
        self.read = 0
        self.seen: bytes | None = None
        self.said: list[Any] = []

    async def through(self, middleware: Any, path: str, token: str = "", table: TokenTable | None = None) -> None:
        app = FastAPI()
        app.state.tokens, app.state.guesses = Tokens(table or TokenTable()), Guesses()
        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        if self.length is not None:
            headers.append((b"content-length", self.length.encode()))
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": headers,
            "app": app,
            "client": ("192.0.2.1", 1),
        }
        await middleware(self._inner, LARGE)({**scope, "query_string": b""}, self._receive, self._send)

    async def _receive(self) -> Any:
        if not self.chunks:
            if self.hangs:
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}
        self.read += len(self.chunks[0])
        return {"type": "http.request", "body": self.chunks.pop(0), "more_body": bool(self.chunks) or not self.ending}

    async def _send(self, message: Any) -> None:
        self.said.append(message)

    async def _inner(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen = (await receive())["body"]

    @property
    def refusal(self) -> tuple[int, str]:
        return self.said[0]["status"], json.loads(self.said[1]["body"])["error"]["code"]


async def test_a_body_arrives_whole() -> None:
    asked = Asked([b"a", b"b" * 100, b""])
    await asked.through(ReadBody, "/api/v1/any")
    assert asked.seen == b"a" + b"b" * 100 and asked.said == []


@pytest.mark.parametrize(
    ("path", "largest"),
    [("/login", LARGEST_FORM), ("/api/v1/any", 1 << 20), ("/api/v1/large", 1000), ("/api", LARGEST_FORM)],
)
@pytest.mark.parametrize("length", ["", None, "1"])
async def test_a_body_that_is_too_large_is_refused_and_not_kept(path: str, largest: int, length: str | None) -> None:
    fits = Asked([b"x" * largest], length=length)
    await fits.through(ReadBody, path)
    assert fits.seen == b"x" * largest
    asked = Asked([b"x" * 500] * (largest // 500 + 2), length=length)
    await asked.through(ReadBody, path)
    assert asked.refusal == (413, "too_large") and asked.seen is None
    assert (b"connection", b"close") in asked.said[0]["headers"]


@pytest.mark.parametrize("length", ["-1", "1e3", "x", "9" * 100])
async def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    asked = Asked([b"x"], length=length)
    await asked.through(ReadBody, "/login")
    assert asked.refusal == (413, "too_large") and asked.seen is None


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admit_requests, "GRACE", 0.05)
    monkeypatch.setattr(admit_requests, "LINGER", 0.05)
    asked = Asked([b"x"] * 5, length="10", ending=False, hangs=True)
    await asked.through(ReadBody, "/login")
    assert asked.refusal == (408, "timeout") and asked.seen is None


async def test_who_goes_away_in_the_middle_is_not_served() -> None:
    asked = Asked([b"x"], length="10", ending=False)
    await asked.through(ReadBody, "/login")
    assert asked.seen is None and asked.said == []


async def test_the_token_is_looked_at_before_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admit_requests, "LINGER_OCTETS", 0)
    table = TokenTable()
    send, read = table.create("app", ["send"], []), table.create("desk", ["read"], [])
    for token, path, expected in (
        ("", "/api/v1/large", (401, "unauthorized")),
        ("ms_x", "/api/v1/large", (401, "unauthorized")),
        (read, "/api/v1/large", (403, "missing_scope")),
        ("", "/api/v1/any", (401, "unauthorized")),
        (send, "/api/v1/large", None),
        (read, "/api/v1/any", None),
        ("", "/login", None),
    ):
        asked = Asked([b"body"] * 10)
        await asked.through(TokenFirst, path, token, table)
        if expected is None:
            assert asked.seen == b"body"
        else:
            assert asked.refusal == expected and asked.read == 0 and asked.seen is None
    table.why_not_ready = "mail.tokens has not been read yet"
    asked = Asked([b"body"])
    await asked.through(TokenFirst, "/api/v1/any", send, table)
    assert asked.refusal == (503, "unavailable") and asked.read == 0


@pytest.mark.parametrize("header", [(b"content-length", b"100000000"), (b"transfer-encoding", b"chunked")])
async def test_a_body_where_none_belongs_is_refused_and_not_waited_for(header: tuple[bytes, bytes]) -> None:
    said: list[Any] = []

    async def never(*_: object) -> None:
        raise AssertionError("it was passed on")

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/login",
        "headers": [header],
        "query_string": b"",
        "app": FastAPI(),
    }
    await ReadBody(never, {})(scope, receive, send)
    assert said[0]["status"] == 413 and (b"connection", b"close") in said[0]["headers"]
