"""When the configuration changed, and which parts of it: written to the audit log by the console as it starts, drawn on Trends.

An entry holds a keyed digest of each top-level key, so that nothing of the configuration stands there. Which keys changed follows from
an entry and the one before it; replicas that start with the same configuration write the same, which is no change.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from console.answer_errors import Problem
from console.audit import SOURCE, Writer
from console.query_store import StoreQueries
from contracts import clock, topics
from contracts.audit import AuditAction, new_act
from contracts.codec import HEADERS, encode_audit_entry
from contracts.errors import Unavailable
from contracts.records import Record
from contracts.settings import Settings

ACTOR = "console"
OF_THE_MACHINE = {"data_dir", "secret_file"}  # where things lie, which replicas need not share
LATER = 5.0  # seconds, where the store or Kafka is away
MOST = 200  # entries that are read
SHOWN = 20  # changes of one page
_READ = (
    "SELECT toUnixTimestamp64Milli(at) AS ms, detail FROM audit FINAL WHERE action = {action:String} "
    "AND at < fromUnixTimestamp64Milli({until:Int64}, 'UTC') ORDER BY at DESC, id DESC LIMIT {most:UInt32}"
)


@dataclass(frozen=True)
class Mark:
    """A change of the configuration: the keys of `mailscope.yaml` that differ."""

    at: datetime
    keys: tuple[str, ...]


def describe_settings(settings: Settings, secret: bytes) -> str:
    """`delivery=1f3a09bc inbound=…`: of each key that differs from its default."""
    parts = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name not in OF_THE_MACHINE and value != field.get_default(call_default_factory=True):
            text = value.model_dump_json() if hasattr(value, "model_dump_json") else _in_order(value)
            parts.append(f"{name}={hmac.new(secret, f'{name} {text}'.encode(), hashlib.sha256).hexdigest()[:8]}")
    return " ".join(sorted(parts)) or "default"


def find_marks(entries: Iterable[tuple[datetime, str]]) -> list[Mark]:
    """What changed from one entry to the next, oldest first; the first is only what the others are compared with."""
    marks, before = [], None
    for at, detail in entries:
        state = dict(part.split("=", 1) for part in detail.split() if "=" in part)
        if before is not None and state != before:
            keys = {key for key in {*state, *before} if state.get(key) != before.get(key)}
            marks.append(Mark(at, tuple(sorted(keys))))
        before = state
    return marks


async def read_marks(queries: StoreQueries, since: datetime, until: datetime) -> list[Mark]:
    """The newest changes of this time, oldest first."""
    return [mark for mark in find_marks(await _entries(queries, until)) if since <= mark.at][-SHOWN:]


async def note_configuration(settings: Settings, secret: bytes, queries: StoreQueries, writer: Writer) -> None:
    """Write down the configuration of this start where it differs from the last that is known; wait until that can be done."""
    state = describe_settings(settings, secret)
    while True:
        try:
            entries = await _entries(queries, clock.now())
            if not entries or entries[-1][1] != state:
                entry = new_act(AuditAction.CONFIGURED, ACTOR, detail=state)
                await writer.publish(Record(topics.AUDIT, ACTOR, encode_audit_entry(entry, SOURCE), HEADERS))
            return
        except (Unavailable, Problem, ClickHouseError):  # the last also before the first migration
            await asyncio.sleep(LATER)


async def _entries(queries: StoreQueries, until: datetime) -> list[tuple[datetime, str]]:
    asked = {"action": AuditAction.CONFIGURED.value, "until": clock.to_ms(until), "most": MOST}
    rows = await queries.rows(_READ, asked)
    return [(clock.from_ms(row["ms"]), row["detail"]) for row in reversed(rows)]


def _in_order(value: Any) -> str:
    """The value as text, the same in every process."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_in_order(one)}" for key, one in sorted(value.items())) + "}"
    if isinstance(value, set | frozenset):
        return _in_order(sorted(value, key=str))
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_in_order, value)) + "]"
    return value.model_dump_json() if hasattr(value, "model_dump_json") else repr(value)
