"""One mail's share of DNS, so that no mail amplifies into a flood of look-ups. Durations in seconds."""

import asyncio
import time
from collections.abc import Callable

from contracts.dns_answers import DnsAnswer, DnsStatus, Resolver

Recall = Callable[[str, str], DnsAnswer | None]  # what is known already, without waiting


class DnsBudget:
    """One mail's view of a resolver: at most `max_queries` questions within `max_seconds`.

    A question asked twice counts once. Safe for the concurrent checks of one mail."""

    def __init__(self, resolver: Resolver, max_queries: int, max_seconds: float) -> None:
        self._resolver = resolver
        self._remembers: Recall | None = getattr(resolver, "cached", None)
        self._left = max_queries
        self._deadline = time.monotonic() + max_seconds
        self._asked: dict[tuple[str, str], DnsAnswer] = {}

    async def query(self, name: str, rtype: str) -> DnsAnswer:
        known = self.cached(name, rtype)
        if known is not None:
            return known
        seconds = self._deadline - time.monotonic()
        if self._left <= 0:
            return DnsAnswer(name, rtype, DnsStatus.BUDGET)
        if seconds <= 0:
            return DnsAnswer(name, rtype, DnsStatus.TIMEOUT)
        self._left -= 1
        try:
            async with asyncio.timeout(seconds):
                answer = await self._resolver.query(name, rtype)
        except TimeoutError:
            answer = DnsAnswer(name, rtype, DnsStatus.TIMEOUT)
        self._asked[name, rtype] = answer
        return answer

    def cached(self, name: str, rtype: str) -> DnsAnswer | None:
        """What this mail has asked before, or what the resolver knows; the latter counts as a question."""
        known = self._asked.get((name, rtype))
        if known is not None or self._remembers is None or self._left <= 0:
            return known
        known = self._remembers(name, rtype)
        if known is not None:
            self._left -= 1
            self._asked[name, rtype] = known
        return known
