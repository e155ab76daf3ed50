"""Finding mails: newest first, in windows of time that grow, so that the newest rows never cost a look at all of them.

Rows fold (FINAL) inside a window only. Where a filter has an index, older windows first collect keys without a fold: rows are
complete, so what the keys find is a superset of what the fold leaves.
"""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from console.answer_errors import Problem
from console.build_query import has_indexed, is_indexed, recipients_clause, terms_where
from console.conditions import Term
from console.masked_asker import seal, unseal
from console.parse_filters import Filters
from console.present_mail import ITEM_COLUMNS, present_item, retention_start
from console.query_store import StoreQueries, begin_deadline
from console.split_filters import split_terms
from contracts import clock
from contracts.settings import Settings

FIRST_WINDOW = timedelta(minutes=30)
GROWTH = 6
MERGED = timedelta(days=1)  # older days are merged: keys without a fold are cheap there
MAX_KEYS = 5000
EXPORTED = 1000  # rows of a page of an export
COUNTED = timedelta(days=1)
MAX_CURSOR = 2000  # characters
ORDER = "ORDER BY received_at DESC, mail_id DESC, recipient DESC"


@dataclass(frozen=True)
class Cursor:
    """The last row of a page; the next page begins after it."""

    received_ms: int
    mail_id: str
    recipient: str

    def encode(self) -> str:
        """As it stands in a URL."""
        text = json.dumps([self.received_ms, self.mail_id, self.recipient], separators=(",", ":"))
        return seal(text)

    @staticmethod
    def decode(text: str) -> "Cursor":
        """Problem 422 when it is none of ours."""
        try:
            if len(text) > MAX_CURSOR:
                raise ValueError("too long")
            received, mail_id, recipient = json.loads(unseal(text))
            clock.from_ms(received + 1)
            return Cursor(int(received), str(uuid.UUID(mail_id)), recipient.encode().decode())
        except (ValueError, TypeError, AttributeError, OverflowError, OSError, RecursionError) as error:
            raise Problem(422, "this cursor is not one of ours", field="cursor") from error


class Search:
    """Searches for one principal at a time; `domains` limits whose mail is seen."""

    def __init__(self, queries: StoreQueries, settings: Settings) -> None:
        self._queries = queries
        self._settings = settings
        self._count_after = datetime.min.replace(tzinfo=UTC)

    async def page(
        self, filters: Filters, domains: frozenset[str], limit: int, cursor: Cursor | None
    ) -> tuple[list[dict[str, Any]], Cursor | None]:
        """Up to `limit` items, and where the next page begins."""
        now = clock.now()
        rows: list[dict[str, Any]] = []
        for low, high in _windows(filters, cursor, retention_start(self._settings, now), now):
            rows += await self._window(filters, domains, low, high, cursor, limit + 1 - len(rows), now)
            if len(rows) > limit:
                break
        items = [present_item(row, self._settings, now) for row in rows[:limit]]
        if len(rows) <= limit or not items:
            return items, None
        last = rows[limit - 1]
        moment = datetime.fromisoformat(items[-1]["received_at"])
        return items, Cursor(clock.to_ms(moment), str(last["mail_id"]), last["recipient"])

    async def every(self, filters: Filters, domains: frozenset[str]) -> AsyncIterator[list[dict[str, Any]]]:
        """Page after page, for an export."""
        cursor: Cursor | None = None
        while True:
            begin_deadline()  # an export may be long, its pages may not
            items, cursor = await self.page(filters, domains, EXPORTED, cursor)
            yield items
            if cursor is None:
                return

    async def complete_until(self) -> str | None:
        """Up to when the log is known to be complete."""
        rows = await self._queries.rows("SELECT complete_until FROM progress FINAL WHERE name = 'log'")
        return clock.rfc3339(clock.utc(rows[0]["complete_until"])) if rows else None

    async def counts(self, filters: Filters, domains: frozenset[str]) -> dict[str, int] | None:
        """Mails of the last day by status; None when counting takes long: it is left alone for a while then."""
        now = clock.now()
        if now < self._count_after:
            return None
        where = terms_where(filters.terms, domains)
        low = max(filters.since or now - COUNTED, now - COUNTED)
        bounds = self._bounds(where, low, filters.until or now + timedelta(minutes=5), None)
        sql = f"SELECT status, count() AS mails FROM mails FINAL WHERE {bounds} AND {where.sql} GROUP BY status"
        try:
            rows = await self._queries.rows(sql, where.parameters, seconds=1)
        except Problem:
            self._count_after = now + timedelta(minutes=1)
            return None
        return {row["status"]: row["mails"] for row in rows}

    async def count(self, filters: Filters, domains: frozenset[str]) -> int | None:
        """How many mails there are, in all that the log holds; None when counting takes longer than a second."""
        now = clock.now()
        where = terms_where(filters.terms, domains)
        low = max(filters.since or retention_start(self._settings, now), retention_start(self._settings, now))
        bounds = self._bounds(where, low, filters.until or now + timedelta(minutes=5), None)
        try:
            rows = await self._queries.rows(
                f"SELECT count() AS mails FROM mails FINAL WHERE {bounds} AND {where.sql}", where.parameters, seconds=1
            )
        except Problem:
            return None
        return int(rows[0]["mails"])

    async def _window(
        self,
        filters: Filters,
        domains: frozenset[str],
        low: datetime,
        high: datetime,
        cursor: Cursor | None,
        limit: int,
        now: datetime,
    ) -> list[dict[str, Any]]:
        if high <= now - MERGED and has_indexed(filters.terms):
            found = await self._by_keys(filters, domains, low, high, cursor, limit)
            if found is not None:
                return found
        where = terms_where(filters.terms, domains)
        bounds = self._bounds(where, low, high, cursor)
        sql = f"SELECT {ITEM_COLUMNS} FROM mails FINAL WHERE {bounds} AND {where.sql} {ORDER} LIMIT {int(limit)}"
        return await self._queries.rows(sql, where.parameters)

    async def _by_keys(
        self,
        filters: Filters,
        domains: frozenset[str],
        low: datetime,
        high: datetime,
        cursor: Cursor | None,
        limit: int,
    ) -> list[dict[str, Any]] | None:
        """Keys by index, then the fold of those keys; None when there are too many keys to be sure."""
        # The keys come newest first: when they are cut off, what they fold to is still right, if it is enough.
        indexed: tuple[Term, ...] = tuple(term for term in filters.terms if is_indexed(term))
        keys: list[dict[str, Any]] = []
        for terms in split_terms(indexed):
            keys += await self._keys(terms, domains, low, high, cursor)
        keys = sorted(keys, key=lambda key: clock.utc(key["received_at"]), reverse=True)[:MAX_KEYS]
        if not keys:
            return []
        where = terms_where(filters.terms, domains)
        moments = where.bind(sorted({clock.to_ms(clock.utc(key["received_at"])) for key in keys}), "Array(Int64)")
        ids = where.bind([str(key["mail_id"]) for key in keys], "Array(UUID)")
        bounds = self._bounds(where, low, high, cursor)
        sql = (
            f"SELECT {ITEM_COLUMNS} FROM mails FINAL WHERE {bounds} AND received_at IN "
            f"(SELECT fromUnixTimestamp64Milli(arrayJoin({moments}), 'UTC')) AND mail_id IN {ids} AND {where.sql} {ORDER} "
            f"LIMIT {int(limit)}"
        )
        rows = await self._queries.rows(sql, where.parameters)
        return None if len(keys) >= MAX_KEYS and len(rows) < limit else rows

    async def _keys(
        self, indexed: tuple[Term, ...], domains: frozenset[str], low: datetime, high: datetime, cursor: Cursor | None
    ) -> list[dict[str, Any]]:
        """The newest keys of rows for which these terms hold or once held, at most MAX_KEYS."""
        inner = terms_where(indexed, domains)
        for condition in indexed:
            if clause := recipients_clause(condition, inner):
                span = self._bounds(inner, low, high, None)
                inner.add(
                    f"(received_at, mail_id) IN (SELECT received_at, mail_id FROM recipients WHERE {span} AND {clause})"
                )
        bounds = self._bounds(inner, low, high, cursor)
        return await self._queries.rows(
            f"SELECT DISTINCT received_at, mail_id, recipient FROM mails WHERE {bounds} AND {inner.sql} {ORDER} LIMIT {MAX_KEYS}",
            inner.parameters,
        )

    def _bounds(self, where: Any, low: datetime, high: datetime, cursor: Cursor | None) -> str:
        start, end = where.bind(clock.to_ms(low), "Int64"), where.bind(clock.to_ms(high), "Int64")
        clause = f"received_at >= {_moment(start)} AND received_at < {_moment(end)}"
        if cursor is not None:
            moment = where.bind(cursor.received_ms, "Int64")
            mail_id, recipient = where.bind(cursor.mail_id, "UUID"), where.bind(cursor.recipient, "String")
            clause += f" AND (received_at, mail_id, recipient) < ({_moment(moment)}, {mail_id}, {recipient})"
        return clause


def _moment(milliseconds: str) -> str:
    return f"fromUnixTimestamp64Milli({milliseconds}, 'UTC')"


def _windows(
    filters: Filters, cursor: Cursor | None, oldest: datetime, now: datetime
) -> list[tuple[datetime, datetime]]:
    """Disjoint windows, newest first, each six times as long as the one before."""
    high = now + timedelta(minutes=5)
    if filters.until is not None:
        high = min(high, filters.until)
    if cursor is not None:
        high = min(high, clock.from_ms(cursor.received_ms + 1))
    low_end = max(filters.since, oldest) if filters.since is not None else oldest
    windows, length = [], FIRST_WINDOW
    while high > low_end:
        low = max(low_end, high - length)
        if low < now - MERGED < high:  # what is merged and what is not are looked through differently
            low = max(low_end, now - MERGED)
        windows.append((low, high))
        high, length = low, length * GROWTH
    return windows
