"""How often somebody may do something: leaky buckets in bounded memory. Durations in seconds."""

import time
from collections import OrderedDict

A_MINUTE, AN_HOUR = 60.0, 3600.0
MOST = 20_000  # keys that are remembered; of more, those that were silent for longest are forgotten


class RateLimit:
    """At most `limit` at once by each key; what is used up comes back evenly within `window`. For one process."""

    def __init__(self, limit: int, window: float, most: int = MOST) -> None:
        self._limit = limit
        self._window = window
        self._most = most
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key: level, and when it was so high

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: str, now: float | None = None) -> bool:
        """Use one up. False, and nothing is used, when there is none left."""
        now = time.monotonic() if now is None else now
        if self.is_spent(key, now):
            return False
        self._levels[key] = (self.level(key, now) + 1, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        return True

    def give_back(self, key: str, amount: float = 1.0, now: float | None = None) -> None:
        """So much of what was used up was well used."""
        if key in self._levels:
            now = time.monotonic() if now is None else now
            self._levels[key] = (max(0.0, self.level(key, now) - amount), now)

    def is_spent(self, key: str, now: float | None = None) -> bool:
        """Whether there is none left."""
        return self.level(key, now) > self._limit - 1

    def level(self, key: str, now: float | None = None) -> float:
        """How much of the limit is used up."""
        now = time.monotonic() if now is None else now
        level, since = self._levels.get(key, (0.0, now))
        return max(0.0, level - (now - since) * self._limit / self._window)
