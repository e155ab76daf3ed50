"""What a request to the send hook may take of memory: its body is held, decoded and copied, so it says its length, waits for room, or is
refused before a byte of it is read."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from runtime.budget_octets import OctetBudget

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PATH = "/api/v1/send"
COPIES = 4  # of a body: as it came, as JSON, its attachments, and the message that is built
SMALL = 64 << 10  # octets of a body that needs no place in the budget
PATIENCE = 20.0  # seconds that a large one waits for its place


class LimitRequests:
    """ASGI middleware. `largest` octets are the most that a body may have; `memory` is for the copies of large ones."""

    def __init__(self, app: App, largest: int, memory: int) -> None:
        self._app = app
        self._largest = largest
        self._budget = OctetBudget(memory)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 411, 413 or 503."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        length = _length(scope)
        if length is None:
            await _refuse(send, 411, "length_required", "say the length of the body (Content-Length)")
        elif length > self._largest:
            await _refuse(send, 413, "message_too_large", f"the body is larger than {self._largest} octets")
        elif length <= SMALL:
            await self._app(scope, receive, send)
        else:
            await self._in_turn(COPIES * length, scope, receive, send)

    async def _in_turn(self, octets: int, scope: Scope, receive: Receive, send: Send) -> None:
        with self._budget.growing() as hold:
            try:
                async with asyncio.timeout(PATIENCE):
                    await hold.exchange(octets)
            except TimeoutError:
                await _refuse(send, 503, "unavailable", "too many large mails are being taken, send it again later")
                return
            await self._app(scope, receive, send)


def _length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            text = value.decode("latin-1")
            return int(text) if text.isascii() and text.isdigit() else None
    return None


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    body = json.dumps({"error": {"code": code, "message": message, "field": None}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    # What is left of the body is not read: the connection ends with the answer.
    await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})
