"""A request to the send hook takes no memory that it has not been given."""

import asyncio
import json
from typing import Any

from ingest.send import limit_requests
from ingest.send.limit_requests import COPIES, PATH, LimitRequests

MEBI = 1 << 20


class Inner:
    """The application behind: it holds each request until `go`, and counts what runs side by side."""

    def __init__(self) -> None:
        self.now = self.most = self.done = 0
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.go.wait()
        self.now -= 1
        self.done += 1
        await send({"type": "http.response.start", "status": 202, "headers": []})


async def ask(app: LimitRequests, length: int | str | None, path: str = PATH, method: str = "POST") -> tuple[int, Any]:
    headers = [(b"content-length", str(length).encode())] if length is not None else []
    said: list[Any] = []

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        raise AssertionError("a body that is refused is not read")

    await app({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
    return said[0]["status"], json.loads(said[1]["body"])["error"]["code"] if len(said) > 1 else None


async def test_large_bodies_wait_for_their_turn_and_small_ones_do_not() -> None:
    inner = Inner()
    app = LimitRequests(inner, 50 * MEBI, 2 * COPIES * 10 * MEBI)
    large = [asyncio.create_task(ask(app, 10 * MEBI)) for _ in range(6)]
    small = [asyncio.create_task(ask(app, 1000)) for _ in range(20)]
    await asyncio.sleep(0.05)
    assert inner.now == 2 + 20
    inner.go.set()
    answers = await asyncio.gather(*large, *small)
    assert {status for status, _ in answers} == {202} and inner.done == 26


async def test_what_is_too_large_or_does_not_say_how_large_it_is_is_refused_unread() -> None:
    inner = Inner()
    inner.go.set()
    app = LimitRequests(inner, MEBI, 8 * MEBI)
    assert await ask(app, MEBI + 1) == (413, "message_too_large")
    for length in (None, "-1", "1e3", "x", ""):
        assert await ask(app, length) == (411, "length_required")
    assert inner.done == 0
    for path, method in (("/api/v1/mails", "POST"), (PATH, "GET")):
        assert (await ask(app, None, path, method))[0] == 202


async def test_who_finds_no_room_in_time_is_told_so_and_leaves_the_line(monkeypatch: Any) -> None:
    monkeypatch.setattr(limit_requests, "PATIENCE", 0.02)
    inner = Inner()
    app = LimitRequests(inner, 50 * MEBI, COPIES * 10 * MEBI)
    first = asyncio.create_task(ask(app, 10 * MEBI))
    await asyncio.sleep(0)
    assert await ask(app, 10 * MEBI) == (503, "unavailable")
    inner.go.set()
    assert (await first)[0] == 202 and (await ask(app, 10 * MEBI))[0] == 202
