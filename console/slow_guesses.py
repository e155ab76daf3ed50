"""Slowing down who guesses tokens: each failure of a peer makes it wait longer for the next try. In memory, bounded, for each process.

Over the API a token that is known is never made to wait, and at the form of the log-in for seconds at most: who shares an address with a
guesser goes on working. Tokens that Mailscope makes are 256 random bits; this is for the log, for the processor, and for a token that
somebody chose.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from runtime.name_peer import name_peer

FREE = 10  # failures that cost nothing
LONGEST = 60.0  # seconds to wait for the next try
FORGOTTEN = 600.0  # seconds without a failure after which a peer begins anew
MAX_PEERS = 10_000  # that are remembered; the one that has been silent longest is forgotten


class Guesses:
    """The failures of each peer: an IPv4 address, or the /64 of an IPv6 address. Safe for threads."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._peers: OrderedDict[str, tuple[int, float]] = OrderedDict()  # failures, and when the last one was

    def wait(self, address: str) -> float:
        """Seconds until this peer may try again; 0 when it may."""
        with self._lock:
            failures, last = self._peers.get(name_peer(address), (0, 0.0))
        since = self._now() - last
        if failures < FREE or since >= FORGOTTEN:
            return 0.0
        return max(0.0, min(LONGEST, 2.0 ** min(failures - FREE, 10)) - since)

    def failed(self, address: str) -> None:
        """It has tried a token that is not known."""
        peer, now = name_peer(address), self._now()
        with self._lock:
            failures, last = self._peers.pop(peer, (0, now))
            self._peers[peer] = (failures + 1 if now - last < FORGOTTEN else 1, now)
            if len(self._peers) > MAX_PEERS:
                self._peers.popitem(last=False)

    def __len__(self) -> int:
        return len(self._peers)
