"""Refused recipients on their way to the log: each of a peer's first ones, and the rest of them as one sum a minute.

A row is a durable record: whoever guesses addresses must not write the log, and yet it says how many there were. What is summed is in
memory until then, and lost with the process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from contracts.raw_message import Envelope
from ingest.smtp.limit_rates import AN_HOUR, RateLimit
from runtime.name_peer import name_peer

ALONE = 10  # rows of their own that a peer's refused recipients have in an hour
WITHIN = 60.0  # seconds that one row sums up
MOST = 1000  # sums at a time: with more, the oldest is written early


@dataclass
class _Sum:
    envelope: Envelope  # of the first
    timer: asyncio.TimerHandle
    more: int = 0


class RefusalLog:
    """`write` publishes one envelope, whose `refusal.more` says how many others it stands for."""

    def __init__(self, write: Callable[[Envelope], None]) -> None:
        self._write = write
        self._alone = RateLimit(ALONE, AN_HOUR)
        self._sums: dict[tuple[str, str], _Sum] = {}

    def add(self, envelope: Envelope) -> None:
        """One refused recipient."""
        assert envelope.refusal is not None
        peer = name_peer(envelope.peer_ip)
        key = (peer, envelope.refusal.reply)
        if key in self._sums:
            self._sums[key].more += 1
        elif self._alone.take(peer):
            self._write(envelope)
        else:
            if len(self._sums) >= MOST:
                self._end(next(iter(self._sums)))
            timer = asyncio.get_running_loop().call_later(WITHIN, self._end, key)
            self._sums[key] = _Sum(envelope, timer)

    def flush(self) -> None:
        """Write what is summed up so far."""
        for key in list(self._sums):
            self._end(key)

    def _end(self, key: tuple[str, str]) -> None:
        found = self._sums.pop(key)
        found.timer.cancel()
        refusal = found.envelope.refusal
        assert refusal is not None
        told = msgspec.structs.replace(refusal, more=found.more)
        self._write(msgspec.structs.replace(found.envelope, refusal=told))
