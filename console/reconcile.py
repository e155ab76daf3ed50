"""Whether every mail that was taken is in the log, and every mail of the log has its message: two topics (`mail.raw`, `mail.events`), read
by the sink each on its own, have to tell of the same mails.

Only mail of before the mark is compared: up to which the log is complete, and the messages that the sink has passed.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from console.answer_errors import Problem
from console.present_mail import retention_start
from console.query_store import StoreQueries
from console.search_mails import Search
from contracts import clock, metrics, topics
from contracts.errors import Unavailable
from contracts.settings import Settings
from contracts.stages import stage
from runtime.expose_metrics import gauge
from runtime.watch_groups import look_at_groups

_log = logging.getLogger("mailscope.console")
EVERY = 30.0  # seconds between two looks
WATCHED = timedelta(minutes=15)  # before the mark, that each look compares
SETTLES = timedelta(seconds=5)  # between the commit of the sink and what brokers tell of it
MOST = 100  # mails that are named
_IN = "received_at >= fromUnixTimestamp64Milli({low:Int64}, 'UTC') AND received_at < fromUnixTimestamp64Milli({high:Int64}, 'UTC')"
_MESSAGES = f"SELECT DISTINCT received_at, mail_id FROM raw WHERE {_IN}"
_WITH_MESSAGE = f"SELECT DISTINCT received_at, mail_id FROM events WHERE {_IN} AND JSONType(data, 'raw') = 'Object'"
# What differs: a message of which nothing was decided (nor put aside), and a mail whose message never came to the log.
_MISSING = {
    "decision": f"{_MESSAGES} AND erased_at IS NULL AND mail_id NOT IN (SELECT mail_id FROM mails WHERE {_IN}) "
    "AND toString(mail_id) NOT IN (SELECT key FROM dead_letters WHERE put_aside_at >= fromUnixTimestamp64Milli({low:Int64}, 'UTC'))",
    "message": f"{_WITH_MESSAGE} AND mail_id NOT IN (SELECT mail_id FROM raw WHERE {_IN})",
}


class Reconciler:
    """Compares on demand, and again and again for the metric. `lag` says for how many seconds the oldest message waits for the sink."""

    def __init__(
        self, queries: StoreQueries, search: Search, settings: Settings, lag: Callable[[], float] | None = None
    ) -> None:
        self._queries = queries
        self._search = search
        self._settings = settings
        self._lag = lag or (lambda: _messages_behind(settings))
        self._told: set[str] = set()
        self.missing: list[dict[str, Any]] = []  # as the last look of `watch` found it

    async def compare(self, since: datetime) -> dict[str, Any]:
        """What was taken since then and before the mark, what of it is in the log, and what is missing (MOST of each kind are named).
        Unavailable, or Problem 503, where it cannot be known now."""
        now = clock.now()
        low = max(since, retention_start(self._settings, now), now - self._settings.store.raw_retention)
        high = await self._mark(now)
        parameters = {"low": clock.to_ms(low), "high": clock.to_ms(max(low, high))}
        taken, missing = await asyncio.gather(
            self._queries.rows(f"SELECT count() AS mails FROM ({_MESSAGES})", parameters), self._missing(parameters)
        )
        return {
            "since": clock.rfc3339(low),
            "until": clock.rfc3339(max(low, high)),
            "taken": taken[0]["mails"],
            "missing": missing,
        }

    async def watch(self) -> None:
        """Keep the metric, and name each mail that is missing once in the log of the process."""
        while True:
            try:
                now = clock.now()
                high = await self._mark(now)
                found = await self._missing({"low": clock.to_ms(high - WATCHED), "high": clock.to_ms(high)})
                self._tell(found)
            except (Unavailable, Problem, ClickHouseError) as error:  # the schema may still be an older one
                _log.debug("what was taken and what is in the log cannot be compared at present: %s", error)
            await asyncio.sleep(EVERY)

    async def _mark(self, now: datetime) -> datetime:
        complete = await self._search.complete_until()
        if complete is None:
            raise Unavailable("the log", "it does not say yet up to when it is complete")
        behind = await asyncio.to_thread(self._lag)
        return min(datetime.fromisoformat(complete), now - timedelta(seconds=behind) - SETTLES)

    async def _missing(self, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        async def one(what: str) -> list[dict[str, Any]]:
            sql = f"SELECT received_at, mail_id, count() OVER () AS all_of_them FROM ({_MISSING[what]}) ORDER BY received_at LIMIT {MOST}"
            rows = await self._queries.rows(sql, parameters)
            named = [
                {"mail_id": str(row["mail_id"]), "received_at": clock.rfc3339(clock.utc(row["received_at"]))}
                for row in rows
            ]
            return [{"what": what, "mails": int(rows[0]["all_of_them"]) if rows else 0, "named": named}]

        return [kind for found in await asyncio.gather(*map(one, _MISSING)) for kind in found]

    def _tell(self, found: list[dict[str, Any]]) -> None:
        self.missing, named = found, set()
        for kind in found:
            gauge(metrics.MISSING_MAILS).labels(kind["what"]).set(kind["mails"])
            for mail in kind["named"]:
                named.add(mail["mail_id"])
                if mail["mail_id"] not in self._told:
                    _log.error(
                        "%s, received at %s: its %s is missing in the log",
                        mail["mail_id"],
                        mail["received_at"],
                        kind["what"],
                    )
        self._told = named


def _messages_behind(settings: Settings) -> float:
    """For how many seconds the oldest message has waited for the ClickHouse sink. Unavailable when the brokers do not say."""
    (group,) = (group for group in stage("clickhouse").groups if topics.RAW in group.topics)
    return look_at_groups(settings.kafka_client, [group])[group.name].seconds
