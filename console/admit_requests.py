"""What is let in: the token is looked at before the body is read, and the body is bounded in octets and in time. Plain ASGI.

The order, from outside: `TokenFirst`, whatever else waits for room (`ingest/send/limit_requests.py`), `ReadBody`, the application.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.answer_errors import Problem, answer
from console.authorise import demand, demand_session
from contracts.errors import Unavailable

API = "/api/"
LARGEST = 1 << 20  # octets of a body that the API reads
LARGEST_FORM = 16 << 10  # octets of a form, which anybody may send
GRACE = 10.0  # seconds that a body may take to begin and to stall, beside
RATE = 64 << 10  # octets a second that it comes with at least
LINGER = 1.0  # seconds for what is on its way when a request is refused, so that its sender reads why
LINGER_OCTETS = 4 << 20
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class LargeBody:
    """A path whose body may be larger, and the scope that it takes."""

    largest: int
    scope: str


class TokenFirst:
    """Refuses a change through the API by a token that is not known, and a large form without a session, before their bodies are read;
    and a body of two lengths."""

    def __init__(self, app: ASGIApp, large: Mapping[str, LargeBody]) -> None:
        self._app = app
        self._large = large

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 400, 401, 403, 429 or 503."""
        if scope["type"] == "http" and {b"transfer-encoding", b"content-length"} <= {
            name for name, _ in scope["headers"]
        }:
            # RFC 9112 section 6.1: what is in front of us may have gone by the other one.
            await _refuse(
                Problem(400, "a request has Content-Length or Transfer-Encoding, not both"), scope, receive, send
            )
            return
        large = self._large.get(scope["path"]) if scope["type"] == "http" else None
        if _has_body(scope) and (large is not None or scope["path"].startswith(API)):
            try:
                if large is not None and not scope["path"].startswith(API):
                    demand_session(HTTPConnection(scope), large.scope)
                else:
                    demand(Request(scope), large.scope if large else None)
            except (Problem, Unavailable) as why:
                await _refuse(why, scope, receive, send)
                return
        await self._app(scope, receive, send)


class ReadBody:
    """Reads a body before the application runs: at most so many octets, and not slower than RATE."""

    def __init__(self, app: ASGIApp, large: Mapping[str, LargeBody]) -> None:
        self._app = app
        self._large = large

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its whole body, or answer 408 or 413."""
        if not _has_body(scope):
            if _declares_body(scope):  # nobody would read it, and it could come for ever
                await _refuse(Problem(413, f"{scope['method']} takes no body"), scope, receive, send)
                return
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except Problem as why:
            await _refuse(why, scope, receive, send)
            return
        if body is None:
            return  # its sender has gone
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        del body

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        await self._app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        largest = self._largest(scope["path"])
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or len(declared) > 15 or int(declared) > largest:
            raise _too_large(largest)
        chunks: list[bytes] = []
        size, began = 0, time.monotonic()
        while True:
            try:
                async with asyncio.timeout(began + GRACE + size / RATE - time.monotonic()):
                    message = await receive()
            except TimeoutError:
                raise Problem(408, f"the body comes slower than {RATE >> 10} KiB a second") from None
            if message["type"] != "http.request":
                return None
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > largest:
                raise _too_large(largest)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _largest(self, path: str) -> int:
        if path in self._large:
            return self._large[path].largest
        return LARGEST if path.startswith(API) else LARGEST_FORM


def _has_body(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] not in _WITHOUT_BODY


def _declares_body(scope: Scope) -> bool:
    return scope["type"] == "http" and any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0")
        for name, value in scope["headers"]
    )


def _too_large(largest: int) -> Problem:
    return Problem(413, f"the body is larger than {largest} octets")


async def _refuse(why: Problem | Unavailable, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, and end the connection: what is left of the body is not kept."""
    problem = why if isinstance(why, Problem) else Problem(503, str(why), code="unavailable")
    response = answer(Request(scope), problem.status, problem.code, problem.message, problem.field)
    response.headers.update({**problem.headers, "Connection": "close"})
    start: dict[str, Any] = {
        "type": "http.response.start",
        "status": response.status_code,
        "headers": response.raw_headers,
    }
    await send(start)
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    octets = 0
    try:
        async with asyncio.timeout(LINGER):
            while octets < LINGER_OCTETS:
                message = await receive()
                octets += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})
