"""Messages that were taken apart a moment ago: the page of a mail asks for its pictures one by one, and each would take the message
apart again."""

import asyncio
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from mail.read_body import Body

KEPT = 64 << 20  # octets of their parts, of all together
OBJECT = 1000  # octets of a body or a part beside what it holds
SECONDS = 60.0  # for which one is kept


class KeptBodies:
    """By mail. One mail is taken apart once at a time, however many ask for its parts: whoever opens it takes one place of all."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Body, asyncio.TimerHandle]] = {}  # the oldest first
        self._octets = 0
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, mail_id: str, take_apart: Callable[[], Awaitable[Body]]) -> Body:
        """The kept one, or what `take_apart` makes of it."""
        turn = self._turns.setdefault(mail_id, asyncio.Lock())
        async with turn:
            kept = self._kept.get(mail_id)
            if kept is not None:
                return kept[0]
            body = await take_apart()
            self._keep(mail_id, body)
            return body

    def _keep(self, mail_id: str, body: Body) -> None:
        if _octets(body) > KEPT:
            return
        while self._kept and self._octets + _octets(body) > KEPT:
            self._forget(next(iter(self._kept)))
        self._octets += _octets(body)
        self._kept[mail_id] = body, asyncio.get_running_loop().call_later(SECONDS, self._forget, mail_id)

    def _forget(self, mail_id: str) -> None:
        body, timer = self._kept.pop(mail_id)
        timer.cancel()
        self._octets -= _octets(body)


def _octets(body: Body) -> int:
    return OBJECT + 4 * (len(body.text) + len(body.html)) + sum(OBJECT + len(one.content) for one in body.attachments)
