"""Sessions of the console: what a log-in makes of an API token, or of what an identity provider says, for a browser to keep. The
token itself is in no cookie.

A session is a record of `mail.tokens`, as tokens are: it holds on every replica and over restarts, is listed and revoked like a token, ends
with its token, and is deleted when it ends.
"""

from collections.abc import Awaitable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from console.tokens import SESSION_LASTS, Principal, new_session, token_record
from contracts import clock, topics
from contracts.records import Position, Record
from contracts.shared_state import Token

MAX_SESSIONS = 50  # of one token or person; the oldest ends when one more begins


class SessionTable(Protocol):
    """What is known of all tokens and sessions, by their ids."""

    def snapshot(self) -> Mapping[str, Token]: ...

    async def read_up_to(self, place: Position) -> None: ...


class Writer(Protocol):
    """Writes a record down. Unavailable when it could not be."""

    def publish_at(self, record: Record) -> Awaitable[Position]: ...


class Sessions:
    """Begins and ends sessions. Unavailable when Kafka is: then nothing has begun or ended."""

    def __init__(self, table: SessionTable, writer: Writer) -> None:
        self._table = table
        self._writer = writer

    async def begin(self, principal: Principal, lasts: timedelta = SESSION_LASTS) -> str:
        """A new session of this token or person: the text of its cookie. This replica knows it from now on, the others within a moment."""
        now = clock.now()
        for old in _to_end(self._table.snapshot(), principal.id, now):
            await self._writer.publish_at(deletion(old))
        text, session = new_session(principal, now, lasts)
        await self._table.read_up_to(await self._writer.publish_at(token_record(session)))
        return text

    async def end(self, id: str) -> None:
        """End the session with this id: its cookie is worth nothing any more."""
        await self._table.read_up_to(await self._writer.publish_at(deletion(id)))


def _to_end(known: Mapping[str, Token], token: str, now: datetime) -> list[str]:
    """Sessions of this token that are over, and its oldest ones where there are too many: so the topic stays small."""
    of_token = sorted((one for one in known.values() if one.session_of == token), key=lambda one: one.created_at)
    over = [one.id for one in of_token if one.revoked_at is not None or (one.expires_at or now) <= now]
    living = [one.id for one in of_token if one.id not in over]
    return [*over, *living[: max(0, len(living) + 1 - MAX_SESSIONS)]]


def deletion(id: str) -> Record:
    """What ends the session with this id, on every replica."""
    return Record(topics.TOKENS, id, None, [])
