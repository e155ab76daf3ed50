"""Answers that are made whole, such as a mail of a thousand recipients: counted while they are read, and sent in pieces."""

import asyncio

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.answer_errors import answer
from console.send_held import GRACE, PIECE, RATE
from runtime.budget_octets import Hold, OctetBudget

MEMORY = 64 << 20  # octets of large answers that are being read


class BoundAnswers:
    """Bounds the memory of answers above PIECE: one for which there is no room is 503 at once, and who reads more slowly than RATE is hung
    up on. Streams bring pieces, and their own bounds."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._memory = OctetBudget(2 * MEMORY)  # what does not wait may have half of it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        refused = late = False
        with self._memory.growing() as hold:

            async def counted(message: Message) -> None:
                nonlocal start, refused, late
                if refused:
                    return
                if message["type"] == "http.response.start":
                    start = message
                    return
                body = message.get("body", b"")
                if start is not None:
                    if len(body) > PIECE and not await self._has_room(hold, len(body)):
                        refused = True
                        why = "too many large answers are being read: try again later"
                        await answer(Request(scope), 503, "unavailable", why)(scope, receive, send)
                        return
                    await send(start)
                    start = None
                if len(body) <= PIECE:
                    await send(message)
                    return
                try:
                    async with asyncio.timeout(GRACE + len(body) / RATE):
                        for place in range(0, len(body), PIECE):
                            more = message.get("more_body", False) or place + PIECE < len(body)
                            await send({**message, "body": body[place : place + PIECE], "more_body": more})
                except TimeoutError:
                    late = True
                    raise

            try:
                await self._app(scope, receive, counted)
            except TimeoutError:
                if not late:
                    raise  # incomplete otherwise: the server closes the connection

    async def _has_room(self, hold: Hold, octets: int) -> bool:
        """Whether `hold` has room for them now; one answer alone may be larger than all."""
        if not self._memory.used:
            await hold.exchange(octets)
            return True
        return hold.try_grow(octets)
