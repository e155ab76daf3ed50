"""Taking one address out of the log store, day by day.

Rows are found by the address and removed by ids: a statement that changes rows is kept by the store for a while, and must not name the
address. Each day goes from what hangs on its mails (messages, events) to the mails themselves, so that who is killed in the middle finds
the rest by them again. Rows are removed by mutations, which rewrite the parts; the parts of before go from the disk within ten minutes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import msgspec

from contracts import clock
from contracts.erasures import ERASED, Erased, Erasure
from contracts.events import MailEvent
from contracts.raw_message import Blob
from runtime.blobs import BlobStore
from runtime.open_store import Store
from sinks.clickhouse.keep_erased_out import ErasedAddresses
from sinks.clickhouse.to_rows import Row, rows_of

AT_ONCE = 1000  # events of other mail that are read and written anew
IDS = 20_000  # of one statement
_CHANGE = {"mutations_sync": 2, "max_execution_time": 0, "max_query_size": 64 << 20}
_IS_IT = "lowerUTF8({0}) = {{address:String}}"
_OWN = f"""
SELECT mail_id, max({_IS_IT.format("sender")} OR {_IS_IT.format("envelope_from")}), uniqExact(recipient),
    uniqExactIf(recipient, {_IS_IT.format("recipient")})
FROM mails WHERE toDate(received_at) = {{day:Date}}
    AND ({_IS_IT.format("sender")} OR {_IS_IT.format("envelope_from")} OR {_IS_IT.format("recipient")})
GROUP BY mail_id
"""
_NAMED = """
SELECT event_id FROM events
WHERE toDate(received_at) = {day:Date} AND positionCaseInsensitiveUTF8(data, {address:String}) > 0 AND NOT redacted
"""


@dataclass
class Count:
    """What was erased so far."""

    mails: int = 0
    rows: int = 0
    messages: int = 0
    blobs: int = 0
    redacted: int = 0
    dead_letters: int = 0
    audit_entries: int = 0

    def done(self) -> Erased:
        """The count as it is told."""
        return Erased(**vars(self))


@dataclass
class Eraser:
    """One erasure, in a thread. ClickHouseError or Unavailable when a store is away: run it again, it goes on."""

    store: Store
    blobs: BlobStore
    erased: ErasedAddresses
    erasure: Erasure
    count: Count = field(default_factory=Count)

    def run(self) -> Erased:
        """Erase until nothing is left."""
        for day in self._days():
            self._erase_mails(day)
            self._redact_events(day)
        self._erase_dead_letters()
        self._redact_audit()
        return self.count.done()

    def _days(self) -> list[date]:
        found = self._ask(
            "SELECT toDate(received_at) AS day FROM mails GROUP BY day UNION DISTINCT "
            "SELECT toDate(received_at) AS day FROM events GROUP BY day"
        )
        return sorted((row[0] for row in found), reverse=True)

    def _erase_mails(self, day: date) -> None:
        own = self._ask(_OWN, day=day)
        for some in _slices(own, IDS):
            ids = [row[0] for row in some]
            sent, got = [row[0] for row in some if row[1]], [row[0] for row in some if not row[1]]
            # Marked before as well: of who is killed in between the hours are counted again all the same (build_hours.SETTLED).
            self._mark_hours(ids)
            self._erase_messages(day, ids)
            condition = f"mail_id IN {_list(sent)} OR (mail_id IN {_list(got)} AND {self._is_recipient()})"
            for table in ("events", "recipients", "mails"):
                self._change(f"ALTER TABLE {table} DELETE IN PARTITION '{day}' WHERE {condition}")
            self._mark_hours(ids)
            self.count.mails += len(ids)
            self.count.rows += sum(row[2] if row[1] else row[3] for row in some)

    def _erase_messages(self, day: date, mail_ids: Sequence[UUID]) -> None:
        which = f"mail_id IN {_list(mail_ids)} AND erased_at IS NULL"
        rows = self._ask(
            f"SELECT mail_id, blob_url, blob_sha256 FROM raw FINAL WHERE toDate(received_at) = {{day:Date}} AND {which}",
            day=day,
        )
        if not rows:
            return
        urls = {row[1]: Blob(url=row[1], sha256=row[2]) for row in rows if row[1]}
        # The same octets of one day are one blob, whoever's mail they are.
        others = self._ask(
            f"SELECT DISTINCT blob_url FROM raw WHERE blob_url IN {{urls:Array(String)}} AND mail_id NOT IN {_list(mail_ids)}",
            urls=list(urls),
        )
        gone = [blob for url, blob in urls.items() if url not in {row[0] for row in others}]
        self.blobs.remove(gone)
        at = clock.to_ms(self.erasure.asked_at)
        self._change(
            f"ALTER TABLE raw UPDATE content = '', blob_url = '', blob_sha256 = '', erased_at = fromUnixTimestamp64Milli({at}, 'UTC') "
            f"IN PARTITION '{day}' WHERE {which}"
        )
        self.count.messages += len(rows)
        self.count.blobs += len(gone)

    def _redact_events(self, day: date) -> None:
        """Events of other mail that name the address: written anew without it, and then those of before are removed."""
        for some in _slices([row[0] for row in self._ask(_NAMED, day=day, address=self._as_json())], AT_ONCE):
            found = self._ask(
                "SELECT event_id, data, _topic, _partition, _offset FROM events "
                f"WHERE toDate(received_at) = {{day:Date}} AND NOT redacted AND event_id IN {_list(some)}",
                day=day,
            )
            new: dict[str, list[Row]] = {"events": [], "mails": []}
            changed: list[UUID] = []
            named: list[UUID] = []
            for event_id, data, topic, partition, offset in found:
                event = msgspec.json.decode(data, type=MailEvent)
                kept = self.erased.event(event)
                if kept == event:
                    continue
                changed.append(event_id)
                if self.erased.names_in_headers(event):
                    named.append(UUID(event.mail_id))
                for table, row in (
                    rows_of(kept, {"_topic": topic, "_partition": partition, "_offset": offset}) if kept else []
                ):
                    if table in new:
                        new[table].append({**row, "redacted": True})
            self._erase_messages(day, named)
            for table, rows in new.items():
                self._insert(table, rows)
            if changed:
                for table in new:
                    self._change(
                        f"ALTER TABLE {table} DELETE IN PARTITION '{day}' WHERE NOT redacted AND event_id IN {_list(changed)}"
                    )
            self.count.redacted += len(new["events"])

    def _erase_dead_letters(self) -> None:
        found = self._ask(
            "SELECT _partition, _offset, value, key, headers, detail FROM dead_letters WHERE positionCaseInsensitiveUTF8("
            "concat(value, '\\n', key, '\\n', headers, '\\n', detail), {address:String}) > 0"
        )
        at = clock.to_ms(self.erasure.asked_at) - 1
        places = [
            (row[0], row[1]) for row in found if any(self.erased.text(_text(one), at) != _text(one) for one in row[2:])
        ]
        if places:
            self._change(
                f"ALTER TABLE dead_letters DELETE WHERE (_partition, _offset) IN ({', '.join(map(str, places))})"
            )
        self.count.dead_letters += len(places)

    def _redact_audit(self) -> None:
        """Who did what is kept, and to whom is not."""
        found = self._ask(
            "SELECT id, recipient, detail FROM audit WHERE positionCaseInsensitiveUTF8(concat(recipient, '\\n', detail, '\\n', "
            "decodeURLFormComponent(detail)), {address:String}) > 0"
        )
        at = clock.to_ms(self.erasure.asked_at) - 1
        named, told = [], []
        for name, recipient, detail in found:
            if self.erased.text(recipient, at) != recipient:
                named.append(name)
            if any(self.erased.text(one, at) != one for one in (detail, unquote(detail))):
                told.append(name)
        if named or told:
            self._change(
                f"ALTER TABLE audit UPDATE recipient = if(id IN {_list(named)}, '{ERASED}', recipient), "
                f"detail = if(id IN {_list(told)}, '{ERASED}', detail) WHERE id IN {_list([*named, *told])}"
            )
        self.count.audit_entries += len({*named, *told})

    def _is_recipient(self) -> str:
        """By a digest: the statement is kept."""
        ((digest,),) = self._ask("SELECT toString(cityHash64({address:String}))")
        return f"cityHash64(lowerUTF8(recipient)) = {digest}"

    def _as_json(self) -> str:
        return msgspec.json.encode(self.erasure.address).decode()[1:-1]

    def _mark_hours(self, mail_ids: Sequence[UUID]) -> None:
        hours = sorted({(one.int >> 80) // 3_600_000 * 3600 for one in mail_ids})
        now = clock.to_ms(clock.now())
        self.store.client.insert("hour_marks", [[hour, now] for hour in hours], column_names=["hour", "marked_at"])

    def _insert(self, table: str, rows: list[Row]) -> None:
        if rows:
            names = list(rows[0])
            types = {str(line[0]): str(line[1]) for line in self._ask(f"DESCRIBE TABLE {table}")}
            columns = [[row[name] for row in rows] for name in names]
            kinds = [types[name] for name in names]
            self.store.client.insert(table, columns, column_names=names, column_type_names=kinds, column_oriented=True)

    def _ask(self, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        bound = {"address": self.erasure.address, **parameters}
        return list(self.store.client.query(sql, parameters=bound, settings={"max_query_size": 64 << 20}).result_rows)

    def _change(self, sql: str) -> None:
        self.store.client.command(sql, settings=_CHANGE)


def _list(ids: Iterable[UUID]) -> str:
    """For `IN`; the nil UUID is nobody's, and an empty list is no syntax."""
    return "(" + ", ".join(f"'{one}'" for one in [UUID(int=0), *ids]) + ")"


def _slices(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
