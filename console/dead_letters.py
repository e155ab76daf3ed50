"""Dead letters: what could not be used, why, and publishing it again where it came from."""

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import HTTPConnection

from console.answer_errors import Problem
from console.audit import Audit, Writer
from console.build_query import Where
from console.query_store import StoreQueries
from console.tokens import Principal
from contracts import clock
from contracts.audit import AuditAction
from contracts.dead_letter import replayed_headers
from contracts.records import Record

LATELY = 600.0  # seconds after which the log knows what was replayed
_COLUMNS = (
    "put_aside_at, stage, reason, detail, source_topic, source_partition, source_offset, key, length(value) AS size, "
    "_partition, _offset"
)
_NAME = "concat(toString(_partition), '-', toString(_offset))"
_REPLAYED = (
    f"(SELECT detail, max(at) AS replayed_at FROM audit WHERE action = '{AuditAction.REPLAYED}' GROUP BY detail)"
)


@dataclass(frozen=True)
class LetterFilter:
    """Which dead letters: those with these values; empty: any."""

    stage: str = ""
    reason: str = ""
    topic: str = ""
    waiting: bool = False  # only those that nobody has replayed

    def where(self) -> Where:
        """As SQL, over the table joined with what was replayed."""
        where = Where()
        for column, value in (("stage", self.stage), ("reason", self.reason), ("source_topic", self.topic)):
            if value:
                where.add(f"{column} = {where.bind(value, 'String')}")
        if self.waiting:
            where.add("replayed_at = toDateTime64(0, 3, 'UTC')")
        return where


class DeadLetters:
    """Reads and replays."""

    def __init__(self, queries: StoreQueries, writer: Writer, audit: Audit) -> None:
        self._queries = queries
        self._writer = writer
        self._audit = audit
        self._lately: dict[str, float] = {}  # when each was replayed here: the log knows it a moment later
        self.turn = asyncio.Lock()  # of who replays those that nobody has replayed

    async def groups(self) -> list[dict[str, Any]]:
        """How many by stage, reason and topic, and how many of them nobody has replayed; the newest first."""
        rows = await self._queries.rows(
            "SELECT stage, reason, source_topic, count() AS total, countIf(replayed_at = toDateTime64(0, 3, 'UTC')) AS waiting, "
            f"max(put_aside_at) AS newest FROM dead_letters FINAL LEFT JOIN {_REPLAYED} AS done ON done.detail = {_NAME} "
            "GROUP BY stage, reason, source_topic ORDER BY newest DESC LIMIT 200"
        )
        return [
            {
                "stage": row["stage"],
                "reason": row["reason"],
                "topic": row["source_topic"],
                "total": row["total"],
                "waiting": row["waiting"],
                "newest": _time(row["newest"]),
            }
            for row in rows
        ]

    async def page(self, wanted: LetterFilter, limit: int, before: str) -> tuple[list[dict[str, Any]], str | None]:
        """The newest of them, older than `before` (a cursor of ours; "": from the newest one on), and the cursor of the rest. Problem 422
        for a cursor that is none."""
        where = wanted.where()
        if before:
            at, partition, offset = _place(before)
            bound = f"fromUnixTimestamp64Milli({where.bind(at, 'Int64')}, 'UTC')"
            where.add(f"(put_aside_at, _partition, _offset) < ({bound}, {partition}, {offset})")
        hidden = self._replayed_lately() if wanted.waiting else set[str]()
        rows = await self._queries.rows(
            f"SELECT {_COLUMNS}, replayed_at FROM dead_letters FINAL LEFT JOIN {_REPLAYED} AS done ON done.detail = {_NAME} "
            f"WHERE {where.sql} ORDER BY put_aside_at DESC, _partition DESC, _offset DESC LIMIT {int(limit) + 1 + len(hidden)}",
            where.parameters,
        )
        rows = [row for row in rows if _name(row) not in hidden]
        items = [_item(row) for row in rows[:limit]]
        if len(rows) <= limit or not items:
            return items, None
        last = rows[limit - 1]
        return items, f"{clock.to_ms(clock.utc(last['put_aside_at']))}-{last['_partition']}-{last['_offset']}"

    async def value(self, name: str) -> bytes:
        """The octets of one. Problem 404 when there is none of this id."""
        return (await self._records([name]))[0][1].value or b""

    async def replay(self, request: HTTPConnection, principal: Principal, names: Sequence[str]) -> int:
        """Publish these again, where they came from; how many. Problem 404 when one is not there: then none is."""
        records = await self._records(names)
        for name, record in records:
            await self._audit.note(request, principal, AuditAction.REPLAYED, recipient=record.topic, detail=name)
            await self._writer.publish(record)
            self._lately[name] = time.monotonic()
        return len(records)

    def _replayed_lately(self) -> set[str]:
        now = time.monotonic()
        self._lately = {name: at for name, at in self._lately.items() if now - at < LATELY}
        return set(self._lately)

    async def _records(self, names: Sequence[str]) -> list[tuple[str, Record]]:
        where = Where()
        places = sorted({_letter(name) for name in names})
        where.add(f"(_partition, _offset) IN {where.bind(places, 'Array(Tuple(UInt32, UInt64))')}")
        rows = await self._queries.rows(
            "SELECT _partition, _offset, source_topic, base64Encode(key) AS key, base64Encode(value) AS value, headers "
            f"FROM dead_letters FINAL WHERE {where.sql} ORDER BY put_aside_at, _partition, _offset",
            where.parameters,
        )
        if len(rows) < len(places):
            raise Problem(404, "there is no such dead letter, or it has expired")
        return [(_name(row), _record(row)) for row in rows]


def _name(row: dict[str, Any]) -> str:
    return f"{row['_partition']}-{row['_offset']}"


def _record(row: dict[str, Any]) -> Record:
    headers = [
        (name, base64.b64decode(more[0]) if more else value.encode())
        for name, value, *more in msgspec.json.decode(row["headers"])
    ]
    topic = row["source_topic"]
    key = msgspec.json.decode(f'"{row["key"]}"', type=bytes).decode("utf-8", "replace")
    value = msgspec.json.decode(f'"{row["value"]}"', type=bytes)
    return Record(topic, key, value, replayed_headers(topic, headers))


def _item(row: dict[str, Any]) -> dict[str, Any]:
    replayed = clock.utc(row["replayed_at"])
    return {
        "id": _name(row),
        "put_aside_at": _time(row["put_aside_at"]),
        "stage": row["stage"],
        "reason": row["reason"],
        "detail": row["detail"],
        "topic": row["source_topic"],
        "partition": row["source_partition"],
        "offset": row["source_offset"],
        "key": row["key"],
        "size": row["size"],
        "replayed_at": clock.rfc3339(replayed) if clock.to_ms(replayed) else None,
    }


def _letter(name: str) -> tuple[int, int]:
    partition, _, offset = name.partition("-")
    if not (partition.isdecimal() and offset.isdecimal() and len(name) < 30):
        raise Problem(404, "there is no such dead letter, or it has expired")
    return int(partition), int(offset)


def _place(cursor: str) -> tuple[int, int, int]:
    parts = cursor.split("-")
    if len(parts) != 3 or not all(one.isdecimal() and len(one) < 19 for one in parts):
        raise Problem(422, "this cursor is not one of ours", field="cursor")
    at, partition, offset = map(int, parts)
    return at, partition, offset


def _time(moment: datetime) -> str:
    return clock.rfc3339(clock.utc(moment))
