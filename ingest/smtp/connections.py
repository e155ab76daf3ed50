"""Who is connected to this process, whether one more may be, and how all of them leave when it stops."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from contracts import metrics
from contracts.settings import Smtp
from ingest.smtp.limit_peers import PeerLimits
from runtime.budget_octets import OctetBudget
from runtime.expose_metrics import counter, gauge
from runtime.name_peer import name_peer

_log = logging.getLogger("mailscope.smtp")
SHARES = 4  # one peer may have this part of the memory
FREE_SHARES = 8  # and this part of the places that are free


class OpenConnection(Protocol):
    """A connection, as far as it is counted."""

    in_data: bool

    def say_goodbye(self) -> None:
        """Leave now, unless a message is under way."""


@dataclass
class _Share:
    """What one peer has of the process: an IPv4 address, or an IPv6 network of 64 bits."""

    memory: OctetBudget
    connections: int = 0


class Connections:
    """The open connections of one process, and the memory for messages that they share."""

    def __init__(self, settings: Smtp) -> None:
        self._settings = settings
        self._open: set[OpenConnection] = set()
        self._by_peer: dict[str, _Share] = {}
        self.peers = PeerLimits(settings)
        self._memory = OctetBudget(settings.memory)
        self.draining = False  # the process stops: whoever is here may finish a message

    def enter(self, connection: OpenConnection, ip: str) -> OctetBudget | None:
        """The memory for its messages, or None when it has to be turned away."""
        peer = name_peer(ip)
        share = self._by_peer.get(peer) or _Share(OctetBudget(self._settings.memory // SHARES, within=self._memory))
        free = self._settings.connections - len(self._open)
        if free <= 0 or self.draining:
            return None
        if share.connections >= self._most(free) and not self.peers.is_trusted(ip):
            counter(metrics.SMTP_LIMITED).labels("connections").inc()
            return None
        if not self.peers.may_connect(ip):
            return None
        self._open.add(connection)
        self._by_peer[peer] = share
        share.connections += 1
        gauge(metrics.SMTP_CONNECTIONS).inc()
        return share.memory

    def leave(self, connection: OpenConnection, ip: str) -> None:
        """The connection is closed."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        peer = name_peer(ip)
        self._by_peer[peer].connections -= 1
        if not self._by_peer[peer].connections:
            del self._by_peer[peer]
        gauge(metrics.SMTP_CONNECTIONS).dec()

    def _most(self, free: int) -> int:
        """How many one peer may have: the fuller it is here, the fewer, so that whoever comes anew finds a place (a dynamic threshold, as
        switches share their buffers: Choudhury and Hahne 1998)."""
        return min(self._settings.connections_per_peer, max(1, free // FREE_SHARES))

    async def drain(self) -> None:
        """The idle ones leave at once, those in DATA after their reply; not all may within `smtp.drain_timeout`."""
        self.draining = True
        for connection in list(self._open):
            connection.say_goodbye()
        deadline = asyncio.get_running_loop().time() + self._settings.drain_timeout.total_seconds()
        while any(connection.in_data for connection in self._open):
            if asyncio.get_running_loop().time() > deadline:
                _log.warning("left %d transactions unfinished: their senders try again", len(self._open))
                return
            await asyncio.sleep(0.02)
