"""Large messages in hand are bounded in octets: one that finds no room comes back later, and holds up no small one."""

from collections.abc import Iterator
from contextlib import contextmanager

from sinks.dispatch.job import NotNow

LARGE = 1 << 20  # octets from which a message counts; smaller ones are bounded by their number
COPIES = 4  # of its octets, that working on a message needs at most
LATER = 30.0  # seconds until it comes back


class LargeMessages:
    """At most `memory` octets for the copies of large messages; one alone may be larger than that."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._held = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Room for a message of so many octets while the block runs. NotNow when there is none."""
        need = COPIES * size if size > LARGE else 0
        if need and self._held and self._held + need > self._memory:
            raise NotNow(LATER, "other large messages are in hand")
        self._held += need
        try:
            yield
        finally:
            self._held -= need
