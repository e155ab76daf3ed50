"""Large messages in hand are bounded in octets: one that finds no room comes back later, and holds up no small one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sinks.dispatch.job import NotNow

LARGE = 128 << 10  # octets from which a message counts; smaller ones are bounded by their number
COPIES = 4  # of its octets, that working on a message needs at most
LATER = 30.0  # seconds until it comes back
PATIENT = 5  # after so many times it is let in first: others come back later until it was


class LargeMessages:
    """At most `memory` octets for the copies of large messages; one alone may be larger than that."""

    def __init__(self, memory: int, now: Callable[[], float] = time.monotonic) -> None:
        self._memory = memory
        self._now = now
        self._held = 0
        self._reserved_until = 0.0

    @contextmanager
    def hold(self, size: int, parked: int = 0) -> Iterator[None]:
        """Room for a message of so many octets, which came back `parked` times, while the block runs. NotNow when there is none."""
        need = COPIES * size if size > LARGE else 0
        if need:
            self._let_in(need, waited=parked >= PATIENT)
        self._held += need
        try:
            yield
        finally:
            self._held -= need

    def _let_in(self, need: int, *, waited: bool) -> None:
        if self._held and self._held + need > self._memory:
            if waited:  # a steady flow of smaller ones would never leave room for it
                self._reserved_until = self._now() + 2 * LATER
            raise NotNow(LATER, "other large messages are in hand")
        if waited:
            self._reserved_until = 0.0
        elif self._now() < self._reserved_until:
            raise NotNow(LATER, "a larger message has waited longer")
