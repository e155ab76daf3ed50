"""Messages that were taken apart a moment ago: the page of a mail asks for its pictures one by one, and each would take the message
apart again."""

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from mail.read_body import Body

KEPT = 64 << 20  # octets of their parts, of all together
SECONDS = 60.0  # for which one is kept


class KeptBodies:
    """By mail. One mail is taken apart once at a time, however many ask for its parts: whoever opens it takes one place of all."""

    def __init__(self) -> None:
        self._kept: dict[str, Body] = {}  # the oldest first
        self._octets = 0
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, mail_id: str, take_apart: Callable[[], Awaitable[Body]]) -> Body:
        """The kept one, or what `take_apart` makes of it."""
        turn = self._turns.setdefault(mail_id, asyncio.Lock())
        async with turn:
            kept = self._kept.get(mail_id)
            if kept is not None:
                return kept
            body = await take_apart()
            self._keep(mail_id, body)
            return body

    def _keep(self, mail_id: str, body: Body) -> None:
        if _octets(body) > KEPT:
            return
        self._kept[mail_id] = body
        self._octets += _octets(body)
        while self._octets > KEPT:
            self._forget(next(iter(self._kept)))
        asyncio.get_running_loop().call_later(SECONDS, self._forget, mail_id, body)

    def _forget(self, mail_id: str, only: Body | None = None) -> None:
        kept = self._kept.get(mail_id)
        if kept is not None and (only is None or only is kept):
            del self._kept[mail_id]
            self._octets -= _octets(kept)


def _octets(body: Body) -> int:
    return 4 * (len(body.text) + len(body.html)) + sum(len(one.content) for one in body.attachments)
