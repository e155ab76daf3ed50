"""Queries of the log store from asyncio: a few threads with a client each, limits on time and memory, one kind of error."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from console.answer_errors import Problem
from contracts import metrics
from contracts.errors import Unavailable
from runtime.expose_metrics import histogram
from runtime.open_store import STORE, Store, worth_a_retry

THREADS = 4
LIMITS: dict[str, Any] = {"max_execution_time": 15, "max_memory_usage": 2 << 30}


class StoreQueries:
    """`await rows(sql, parameters)`; values are always bound parameters."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")

    async def rows(
        self, sql: str, parameters: dict[str, Any] | None = None, *, seconds: float | None = None
    ) -> list[dict[str, Any]]:
        """Every row as a dictionary. Unavailable when the store is away, Problem 503 when a query takes too much."""
        loop = asyncio.get_running_loop()
        limits = LIMITS if seconds is None else {**LIMITS, "max_execution_time": seconds}
        return await loop.run_in_executor(self._threads, self._query, sql, parameters or {}, limits)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _query(self, sql: str, parameters: dict[str, Any], limits: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            with histogram(metrics.QUERY_SECONDS).time():
                return list(self._store.client.query(sql, parameters=parameters, settings=limits).named_results())
        except (ClickHouseError, OSError) as error:
            if any(f"Code: {code}." in str(error) for code in (159, 241)):
                raise Problem(
                    503, "the search takes too long: narrow it with since: or another filter", code="too_expensive"
                ) from error
            self._store.forget()
            if worth_a_retry(error):
                raise Unavailable(STORE, str(error)[:200]) from error
            raise
