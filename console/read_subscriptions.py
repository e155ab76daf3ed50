"""Status webhooks: those of mailscope.yaml, how each subscriber is doing, and the log of what it was called for. From the log store, and of
Kafka what waits."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from console.answer_errors import Problem
from console.masked_asker import seal, unseal
from console.query_store import StoreQueries
from contracts import clock
from contracts.errors import Unavailable
from contracts.ids import received_ms
from contracts.settings import Settings
from contracts.stages import subscription_group
from contracts.subscriptions import SubscriberHealth
from runtime.watch_groups import GroupState, look_at_groups

COLUMNS = "event_id, mail_id, status, attempt, outcome, code, text, started_at, duration_ms, next_attempt_at"
SKEW = timedelta(minutes=10)  # between the clocks of two machines
NEWEST = 50  # calls of one subscriber among which the one that ended last is: more than are made at a time


@dataclass(frozen=True)
class CallFilter:
    """Which calls; empty: all."""

    outcome: str = ""
    mail_id: str = ""
    since: datetime | None = None


class SubscriptionReader:
    """For who may see the mail of all domains."""

    def __init__(self, queries: StoreQueries, settings: Settings) -> None:
        self._queries = queries
        self._settings = settings
        self._subscriptions = settings.subscriptions

    async def all(self, groups: dict[str, GroupState] | None = None) -> list[dict[str, Any]]:
        """Every subscription, in the order of mailscope.yaml. `groups` is what Kafka says, where it was asked already; what it does not
        say is None."""
        if groups is None and self._subscriptions:
            wanted = [subscription_group(name) for name in self._subscriptions]
            try:
                groups = await asyncio.to_thread(look_at_groups, self._settings.kafka_client, wanted)
            except Unavailable:
                groups = {}
        counts = await self._counts()
        last = await asyncio.gather(*(self._last(name) for name in self._subscriptions))
        return [
            self._describe(name, one, counts.get(name, {}), (groups or {}).get(subscription_group(name).name))
            for name, one in zip(self._subscriptions, last, strict=True)
        ]

    async def calls(
        self, name: str, asked: CallFilter, limit: int, cursor: str
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of the log of one subscription, newest first, and the cursor of the next one. Problem 404 when there is none of this
        name."""
        if name not in self._subscriptions:
            raise Problem(404, f"there is no subscription '{name[:100]}'")
        since = max(self._begin(), asked.since) if asked.since else self._begin()
        parameters: dict[str, Any] = {"name": name, "since": since, "limit": limit + 1}
        where = "subscription = {name:String} AND started_at >= {since:DateTime64(3, 'UTC')}"
        if asked.outcome:
            where += " AND outcome = {outcome:String}"
            parameters["outcome"] = asked.outcome
        if asked.mail_id:
            where += " AND mail_id = {mail:UUID}"
            parameters["mail"], received = _mail(asked.mail_id)
            parameters["since"] = max(since, received - SKEW)
        if cursor:
            parameters["at"], parameters["event"], parameters["number"] = _decode(cursor)
            where += (
                " AND (started_at, event_id, attempt) < "
                "(fromUnixTimestamp64Milli({at:Int64}, 'UTC'), {event:UUID}, {number:UInt32})"
            )
        sql = (
            # In the order of the table, and so no more is read than is shown; a row that was inserted twice is shown once.
            f"SELECT {COLUMNS} FROM calls WHERE {where} ORDER BY started_at DESC, event_id DESC, attempt DESC "
            "LIMIT 1 BY started_at, event_id, attempt LIMIT {limit:UInt32}"
        )
        rows = await self._queries.rows(sql, parameters)
        following = _encode(rows[limit - 1]) if len(rows) > limit else None
        return [_row(row) for row in rows[:limit]], following

    async def _counts(self) -> dict[str, dict[str, Any]]:
        sql = (
            "SELECT subscription, countIf(outcome = 'taken') AS taken, countIf(outcome = 'put_aside') AS put_aside, "
            "count() - taken - put_aside AS failed FROM calls FINAL "
            "WHERE subscription IN {names:Array(String)} AND started_at >= now() - INTERVAL 1 HOUR GROUP BY subscription"
        )
        found = await self._queries.rows(sql, {"names": list(self._subscriptions)}) if self._subscriptions else []
        return {row["subscription"]: row for row in found}

    async def _last(self, name: str) -> dict[str, Any] | None:
        """The call that ended last: what it says of the subscriber holds."""
        sql = (
            f"SELECT * FROM (SELECT {COLUMNS}, health, failing_since, _offset FROM calls WHERE subscription = {{name:String}} "
            "AND started_at >= {since:DateTime64(3, 'UTC')} ORDER BY started_at DESC LIMIT {newest:UInt32}) "
            "ORDER BY addMilliseconds(started_at, duration_ms) DESC, _offset DESC LIMIT 1"
        )
        found = await self._queries.rows(sql, {"name": name, "since": self._begin(), "newest": NEWEST})
        return found[0] if found else None

    def _describe(
        self, name: str, last: dict[str, Any] | None, counts: dict[str, Any], group: GroupState | None
    ) -> dict[str, Any]:
        subscription = self._subscriptions[name]
        return {
            "name": name,
            "host": urlsplit(subscription.url).netloc.rpartition("@")[2],  # a path or a query may hold a secret
            "events": [one.value for one in subscription.events],
            "directions": [one.value for one in subscription.directions],
            "domains": list(subscription.domains),
            "health": last["health"] if last else None,
            "failing_since": _time(last["failing_since"]) if last else None,
            "last_call": _row(last) if last else None,
            "last_hour": {word: int(counts.get(word, 0)) for word in ("taken", "failed", "put_aside")},
            "waiting": group.records if group else None,
            "behind_seconds": round(group.seconds, 1) if group else None,
        }

    def _begin(self) -> datetime:
        return clock.now() - self._settings.store.retention


def is_trouble(subscription: dict[str, Any]) -> bool:
    """Whether somebody should look at it."""
    return subscription["health"] not in (None, SubscriberHealth.ACTIVE.value)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": str(row["event_id"]),
        "mail_id": str(row["mail_id"]),
        "status": row["status"],
        "attempt": row["attempt"],
        "outcome": row["outcome"],
        "code": row["code"] or None,
        "text": row["text"] or None,
        "started_at": _time(row["started_at"]),
        "duration_ms": row["duration_ms"],
        "next_attempt_at": _time(row["next_attempt_at"]),
    }


def _time(moment: datetime | None) -> str | None:
    return clock.rfc3339(clock.utc(moment)) if moment is not None else None


def _mail(text: str) -> tuple[str, datetime]:
    """The id as the log has it, and when its mail came: nobody was called for it before."""
    try:
        return str(uuid.UUID(text)), clock.from_ms(received_ms(text))
    except ValueError as error:
        raise Problem(422, "mail_id: this is no id of a mail", field="mail_id") from error


def _encode(row: dict[str, Any]) -> str:
    return seal(json.dumps([clock.to_ms(clock.utc(row["started_at"])), str(row["event_id"]), row["attempt"]]))


def _decode(cursor: str) -> tuple[int, str, int]:
    try:
        at, event, number = json.loads(unseal(cursor))
        clock.from_ms(at)
        if not 0 <= number < 1 << 32:
            raise ValueError(number)
        return int(at), str(uuid.UUID(event)), int(number)
    except (ValueError, TypeError, AttributeError, OverflowError, OSError, RecursionError) as error:
        raise Problem(422, "this cursor is not one of ours", field="cursor") from error
