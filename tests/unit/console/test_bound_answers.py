"""Large answers are counted while they are read."""

import asyncio
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import Message

import console.bound_answers
from console.bound_answers import MEMORY, BoundAnswers
from console.send_held import PIECE

LARGE = 4 << 20


class Client:
    """One request; it reads as long as `reading` is set."""

    def __init__(self, app: BoundAnswers) -> None:
        self.heard: list[Message] = []
        self.reading = asyncio.Event()
        scope = {"type": "http", "method": "GET", "path": "/api/v1/mails/x", "headers": [], "query_string": b""}
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def _receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def _send(self, message: Message) -> None:
        self.heard.append(message)
        if message["type"] == "http.response.body":
            await self.reading.wait()

    @property
    def status(self) -> int:
        return int(self.heard[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.heard[1:])


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_beyond_the_room_a_large_answer_is_503_and_a_small_one_is_sent() -> None:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        await Response(b"x" * size)(scope, receive, send)

    app, size = BoundAnswers(serve), LARGE
    clients = [Client(app) for _ in range(100)]
    await settle()
    assert [one.status for one in clients].count(200) == MEMORY // LARGE + 1  # the first one was alone
    assert {one.status for one in clients} == {200, 503}
    assert all(len(one.heard[1]["body"]) <= PIECE for one in clients)
    size = PIECE
    small = Client(app)
    await settle()
    assert (small.status, len(small.body)) == (200, PIECE)
    for one in (*clients, small):
        one.reading.set()
    await asyncio.gather(*(one.task for one in (*clients, small)))
    assert {len(one.body) for one in clients if one.status == 200} == {LARGE}
    assert all(not one.heard[-1].get("more_body") for one in clients)
    size = LARGE
    again = Client(app)
    again.reading.set()
    await again.task
    assert (again.status, again.body) == (200, b"x" * LARGE), "the room is free again"


async def test_who_reads_too_slowly_gives_its_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.bound_answers, "GRACE", 0.05)
    monkeypatch.setattr(console.bound_answers, "RATE", LARGE * 100)
    app = BoundAnswers(Response(b"x" * LARGE))
    clients = [Client(app) for _ in range(MEMORY // LARGE)]
    await asyncio.gather(*(one.task for one in clients))
    assert all(one.heard[-1]["more_body"] for one in clients), "incomplete"
    after = Client(app)
    after.reading.set()
    await after.task
    assert after.status == 200


async def test_one_answer_alone_may_be_larger_than_the_room() -> None:
    app = BoundAnswers(Response(b"x" * (MEMORY + PIECE)))
    one = Client(app)
    await settle()
    two = Client(app)
    one.reading.set()
    two.reading.set()
    await asyncio.gather(one.task, two.task)
    assert (one.status, len(one.body), two.status) == (200, MEMORY + PIECE, 503)


async def test_streams_and_errors_pass() -> None:
    async def pieces() -> Any:
        for _ in range(100):
            yield b"y" * PIECE

    stream = Client(BoundAnswers(StreamingResponse(pieces())))
    stream.reading.set()
    await stream.task
    assert (stream.status, len(stream.body)) == (200, 100 * PIECE)

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise TimeoutError("the app's own")

    with pytest.raises(TimeoutError, match="own"):
        await Client(BoundAnswers(broken)).task
