"""Who did what with the log, written down before it is done, and read again."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable
from datetime import datetime
from typing import Any, Protocol

from starlette.requests import HTTPConnection

from console.authorise import peer_of
from console.build_query import Where
from console.query_store import StoreQueries
from console.tokens import Principal
from contracts import clock, topics
from contracts.audit import AuditAction, new_act
from contracts.clock import from_ms
from contracts.codec import HEADERS, encode_audit_entry
from contracts.errors import Unavailable
from contracts.ids import received_ms
from contracts.records import Record

SOURCE = "mailscope/console"
MAX_DETAIL = 2000  # characters
HOUR = 3600  # seconds
REMEMBERED = 10_000  # tokens and sessions whose use was written down in this hour


class Writer(Protocol):
    """Writes a record down. Unavailable when it could not be."""

    def publish(self, record: Record) -> Awaitable[None]: ...


class Audit:
    """Writes down what is about to be done."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def note(
        self,
        request: HTTPConnection,
        principal: Principal,
        action: AuditAction,
        *,
        mail_id: str = "",
        recipient: str = "",
        detail: str = "",
    ) -> None:
        """One act of this principal. Unavailable when Kafka does not acknowledge it: then it must not be done."""
        entry = new_act(
            action,
            principal.name,
            principal.id,
            mail_id=mail_id,
            recipient=recipient,
            detail=detail[:MAX_DETAIL],
            peer_ip=peer_of(request),
        )
        await self._writer.publish(Record(topics.AUDIT, principal.name, encode_audit_entry(entry, SOURCE), HEADERS))


class TokenUses:
    """Writes down that a token is used, once an hour for each; a request does not wait for it."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._noted: OrderedDict[str, int] = OrderedDict()  # by id: in which hour
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, request: HTTPConnection, principal: Principal) -> None:
        """This token or session is used now."""
        hour = int(time.time() // HOUR)
        if self._noted.get(principal.id) == hour:
            return
        self._noted[principal.id] = hour
        if len(self._noted) > REMEMBERED:
            self._noted.popitem(last=False)
        task = asyncio.get_running_loop().create_task(self._write(request, principal))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write(self, request: HTTPConnection, principal: Principal) -> None:
        try:
            await self._audit.note(request, principal, AuditAction.TOKEN_USED)
        except Unavailable:
            self._noted.pop(principal.id, None)


async def read_last_uses(queries: StoreQueries) -> dict[str, str]:
    """When each token and session was last used, as far as the log goes back; to the hour, the hour's first use."""
    rows = await queries.rows(
        "SELECT actor_id, max(toUnixTimestamp64Milli(at)) AS last FROM audit GROUP BY actor_id LIMIT 100000"
    )
    return {row["actor_id"]: clock.rfc3339(from_ms(row["last"])) for row in rows}


async def read_audit(
    queries: StoreQueries, filters: dict[str, str], since: datetime | None, before: str, limit: int
) -> list[dict[str, Any]]:
    """Acts, newest first: those that have these values (`actor`, `action`, `mail_id`, `recipient`), not older than `since`, and older than
    the one with the id `before` ("": from the newest one on)."""
    where = Where()
    for column, value in filters.items():
        where.add(f"lower({column}) = {where.bind(value.lower(), 'String')}")
    if since is not None:
        where.add(f"at >= fromUnixTimestamp64Milli({where.bind(clock.to_ms(since), 'Int64')}, 'UTC')")
    if before:
        at, name = where.bind(received_ms(before), "Int64"), where.bind(before, "UUID")
        where.add(f"(at, id) < (fromUnixTimestamp64Milli({at}, 'UTC'), {name})")
    rows = await queries.rows(
        "SELECT id, at, actor, actor_id, action, mail_id, recipient, detail, peer_ip FROM audit FINAL "
        f"WHERE {where.sql} ORDER BY at DESC, id DESC LIMIT {int(limit)}",
        where.parameters,
    )
    return [{**row, "id": str(row["id"]), "at": clock.rfc3339(from_ms(received_ms(str(row["id"]))))} for row in rows]
