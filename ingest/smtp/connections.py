"""Who is connected to this process, whether one more may be, and how all of them leave when it stops."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from contracts import metrics
from contracts.settings import Smtp
from runtime.budget_octets import OctetBudget
from runtime.expose_metrics import gauge

_log = logging.getLogger("mailscope.smtp")
SHARES = 4  # one IP address may have this part of the memory


class OpenConnection(Protocol):
    """A connection, as far as it is counted."""

    in_data: bool

    def say_goodbye(self) -> None:
        """Leave now, unless a message is under way."""


@dataclass
class _Share:
    """What one IP address has of the process."""

    memory: OctetBudget
    connections: int = 0


class Connections:
    """The open connections of one process, and the memory for messages that they share."""

    def __init__(self, settings: Smtp) -> None:
        self._settings = settings
        self._open: set[OpenConnection] = set()
        self._by_ip: dict[str, _Share] = {}
        self._memory = OctetBudget(settings.memory)
        self.draining = False  # the process stops: whoever is here may finish a message

    def enter(self, connection: OpenConnection, ip: str) -> OctetBudget | None:
        """The memory for its messages, or None when it has to be turned away."""
        share = self._by_ip.get(ip) or _Share(OctetBudget(self._settings.memory // SHARES, within=self._memory))
        full = len(self._open) >= self._settings.connections
        crowded = share.connections >= self._settings.connections_per_peer
        if full or crowded or self.draining:
            return None
        self._open.add(connection)
        self._by_ip[ip] = share
        share.connections += 1
        gauge(metrics.SMTP_CONNECTIONS).inc()
        return share.memory

    def leave(self, connection: OpenConnection, ip: str) -> None:
        """The connection is closed."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self._by_ip[ip].connections -= 1
        if not self._by_ip[ip].connections:
            del self._by_ip[ip]
        gauge(metrics.SMTP_CONNECTIONS).dec()

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
