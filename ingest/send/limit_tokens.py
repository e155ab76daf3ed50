"""How much one token may send in a minute: requests and recipients, each from a bucket that fills evenly. In each process."""

import math
import time
from collections.abc import Callable


class RateExceeded(Exception):
    """Too many: try again in `seconds`."""

    def __init__(self, field: str, limit: int, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        super().__init__(f"this token may send {limit} {field} a minute: try again in {self.seconds} s")


class TokenRates:
    """The buckets of all tokens: as many as have sent anything, and tokens are few. A limit of 0 is none."""

    def __init__(self, requests: int, recipients: int, now: Callable[[], float] = time.monotonic) -> None:
        self._limits = {"requests": requests, "recipients": recipients}
        self._now = now
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}  # what is left, and when it was so

    def take(self, token: str, *, requests: int = 0, recipients: int = 0) -> None:
        """Count these, or RateExceeded, and nothing is counted. More than a whole bucket passes when it is full, and has to be made up
        for afterwards."""
        now, wanted = self._now(), {"requests": requests, "recipients": recipients}
        left: dict[tuple[str, str], float] = {}
        for field, amount in wanted.items():
            limit = self._limits[field]
            if not limit or not amount:
                continue
            before, moment = self._buckets.get((token, field), (float(limit), now))
            present = min(limit, before + (now - moment) * limit / 60)
            if present < min(amount, limit):
                raise RateExceeded(field, limit, (min(amount, limit) - present) * 60 / limit)
            left[token, field] = present - amount
        self._buckets.update({key: (amount, now) for key, amount in left.items()})
