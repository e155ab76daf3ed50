"""Whether a subscriber takes what it is given, or fails as a whole. Pure; times are seconds of any clock that only goes on.

One event that it does not like is that event's trouble: it is tried again over the delays of `delivery.retry` and then put aside, while
others go on. A subscriber that is away, or refuses several events and takes none, fails as a whole: then nothing counts against the
events, little is tried, and what it misses waits in the topics.
"""

from collections.abc import Sequence

from contracts.subscriptions import CallOutcome

TOLERATED = 3  # calls in a row that it was away for, or events that it refused, before it fails as a whole


class Health:
    """One subscriber, as one process sees it."""

    def __init__(self, delays: Sequence[float], paused_retry: float, *, failing: bool, paused: bool) -> None:
        """`delays` between two tries of one that fails, each at most `paused_retry`, which is that of a paused one. One that was failing
        when the process began is tried at once."""
        self._delays = [min(one, paused_retry) for one in delays]
        self._paused_retry = paused_retry
        self.failing = failing
        self.paused = paused
        self.taken = 0  # calls that it took
        self.next_try = 0.0  # while it fails
        self._rounds = 0
        self._away = 0
        self._refused: set[str] = set()

    def took(self) -> None:
        """It took an event."""
        self.taken += 1
        self._rounds = self._away = 0
        self._refused.clear()
        self.failing = self.paused = False

    def failed(self, outcome: CallOutcome, event_id: str, others_taken: bool, now: float) -> bool:
        """It did not take an event; `others_taken`: it took others since that event was tried before. Whether this counts against the
        event."""
        if outcome is CallOutcome.REFUSED:
            self._refused.add(event_id)
        else:
            self._away += 1
        if outcome is CallOutcome.GONE or self._away >= TOLERATED or len(self._refused) >= TOLERATED:
            self.failing = True
        if self.failing and now >= self.next_try:
            self.next_try = now + self._rest()
            self._rounds += 1
        return not self.failing or others_taken

    def pause(self, now: float) -> None:
        """It has failed for too long, or wants no more."""
        self.paused = True
        self.next_try = now + self._paused_retry

    def try_now(self) -> None:
        """Another process says that it takes events again."""
        self.next_try = 0.0

    def _rest(self) -> float:
        return self._paused_retry if self.paused else self._delays[min(self._rounds, len(self._delays) - 1)]
