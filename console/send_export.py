"""Exports: a few at a time, each in pieces as fast as it is read. A page of the log takes megabytes until its reader has it."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from console.answer_errors import Problem
from console.send_held import GRACE, PIECE, RATE

EXPORTS = 4  # at a time
PATIENCE = 10.0  # seconds that one more waits


class ExportRoom:
    """The places for exports of one process."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(EXPORTS)

    async def answer(
        self, stream: AsyncIterator[bytes], media_type: str, headers: Mapping[str, str]
    ) -> StreamingResponse:
        """The answer, once there is a place for it. Problem 503 when there is none for long."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._places.acquire()
        except TimeoutError as error:
            raise Problem(503, f"{EXPORTS} exports are under way: try again later", code="unavailable") from error
        return _Export(stream, self._places, media_type, headers)


class _Export(StreamingResponse):
    def __init__(
        self, stream: AsyncIterator[bytes], places: asyncio.Semaphore, media_type: str, headers: Mapping[str, str]
    ) -> None:
        super().__init__(_pieces(stream), media_type=media_type, headers=headers)
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except TimeoutError:
            return  # incomplete: the server closes the connection
        finally:
            self._places.release()


async def _pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """TimeoutError when they are read more slowly than RATE."""
    async for page in stream:
        deadline = time.monotonic() + GRACE + len(page) / RATE
        for start in range(0, len(page), PIECE):
            yield page[start : start + PIECE]
            if time.monotonic() > deadline:
                raise TimeoutError
