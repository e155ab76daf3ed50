"""What the checks of one mail may ask of DNS: no mail amplifies into a flood of look-ups, and no check spends what another
one needs. Durations in seconds."""

import asyncio
import time
from collections.abc import Callable

from contracts.dns_answers import DnsAnswer, DnsStatus, Resolver

Recall = Callable[[str, str], DnsAnswer | None]  # what is known already, without waiting


Answers = dict[tuple[str, str], DnsAnswer]


class NotAtHand(BaseException):
    """The answer is not known yet, and nobody shall wait for it. A BaseException, so that no check takes it for its own failure."""


class DnsBudget:
    """One check's view of a resolver: at most `max_queries` questions within `max_seconds`, counted from the first of them.

    What is known already costs nothing, such as an answer that another check of the mail has had (`asked`). With `waits` off nothing is
    asked at all: NotAtHand. Safe for concurrent questions."""

    def __init__(
        self,
        resolver: Resolver,
        max_queries: int,
        max_seconds: float,
        asked: Answers | None = None,
        *,
        waits: bool = True,
    ) -> None:
        self._resolver = resolver
        self._remembers: Recall | None = getattr(resolver, "cached", None)
        self._left = max_queries
        self._max_seconds = max_seconds
        self._deadline: float | None = None
        self._asked: Answers = {} if asked is None else asked
        self._waits = waits

    async def query(self, name: str, rtype: str) -> DnsAnswer:
        known = self.cached(name, rtype)
        if known is not None:
            return known
        if not self._waits:
            raise NotAtHand
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._max_seconds
        seconds = self._deadline - now
        if self._left <= 0:
            return DnsAnswer(name, rtype, DnsStatus.BUDGET)
        if seconds <= 0:
            return DnsAnswer(name, rtype, DnsStatus.TIMEOUT)
        self._left -= 1
        try:
            async with asyncio.timeout(seconds):
                answer = await self._resolver.query(name, rtype)
        except TimeoutError:
            return DnsAnswer(name, rtype, DnsStatus.TIMEOUT)  # our time is up: another check may have more
        self._asked[name, rtype] = answer
        return answer

    def cached(self, name: str, rtype: str) -> DnsAnswer | None:
        """What this mail has asked before, or what the resolver knows."""
        known = self._asked.get((name, rtype))
        if known is not None or self._remembers is None:
            return known
        known = self._remembers(name, rtype)
        if known is not None:
            self._asked[name, rtype] = known
        return known
