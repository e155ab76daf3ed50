"""An answer whose octets are held in memory while they are sent: in pieces, as fast as they are read, and counted until the end."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from runtime.budget_octets import Hold

PIECE = 64 << 10  # octets that wait in the connection's own buffer
RATE = 64 << 10  # octets a second with which it has to be read at least
GRACE = 30.0  # seconds beside


class HeldResponse(StreamingResponse):
    """These octets, for which `hold` has room; it is given back when they are sent, or their reader has gone."""

    def __init__(self, octets: bytes, hold: Hold, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(
            _pieces(octets), media_type=media_type, headers={**headers, "Content-Length": str(len(octets))}
        )
        self._hold = hold
        self._at_most = GRACE + len(octets) / RATE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them; who reads too slowly holds what others wait for, and is hung up on."""
        try:
            async with asyncio.timeout(self._at_most):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            return  # incomplete: the server closes the connection
        finally:
            self._hold.give_back()


async def _pieces(octets: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(octets), PIECE):
        yield octets[start : start + PIECE]
