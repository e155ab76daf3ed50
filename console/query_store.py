"""Queries of the log store from asyncio: a few threads with a client each, limits on time and memory, one kind of error."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError

from console.answer_errors import Problem
from contracts import metrics
from contracts.errors import Unavailable
from runtime.expose_metrics import histogram
from runtime.open_store import NOT_ALLOWED, STORE, Store, worth_a_retry

THREADS = 4
SECONDS = 15.0  # for all queries of one request together, their waiting included
TOO_EXPENSIVE = (159, 160, 241, 396)  # error codes of ClickHouse: time and memory, estimated or spent
REFUSED = (452, NOT_ALLOWED)  # a limit that its user may not set, a missing right: an operator has to mend that
LEAST = 0.01  # seconds for a query: less might be written as 0, which is no limit
_deadline: ContextVar[float | None] = ContextVar("query_deadline", default=None)


def begin_deadline() -> None:
    """From now on the queries of this request have SECONDS; without it each query has."""
    _deadline.set(time.monotonic() + SECONDS)


class StoreQueries:
    """`await rows(sql, parameters)`; values are always bound parameters."""

    def __init__(self, store: Store, memory: int) -> None:
        """`memory` is for all queries at a time, of which one may take half."""
        self._store = store
        # What one user of the store takes in all: one user for the console, so that its queries are what is stopped.
        self._memory = {"max_memory_usage": memory // 2, "max_memory_usage_for_user": memory}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")

    async def rows(
        self, sql: str, parameters: dict[str, Any] | None = None, *, seconds: float | None = None
    ) -> list[dict[str, Any]]:
        """Every row as a dictionary. Unavailable when the store is away, Problem 503 when a query takes too much."""
        loop = asyncio.get_running_loop()
        deadline = _deadline.get() or time.monotonic() + SECONDS
        if seconds is not None:
            deadline = min(deadline, time.monotonic() + seconds)
        return await loop.run_in_executor(self._threads, self._query, sql, parameters or {}, deadline)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _query(self, sql: str, parameters: dict[str, Any], deadline: float) -> list[dict[str, Any]]:
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            raise _too_expensive()
        limits = {**self._memory, "max_execution_time": max(seconds, LEAST)}
        try:
            with histogram(metrics.QUERY_SECONDS).time():
                return list(self._store.client.query(sql, parameters=parameters, settings=limits).named_results())
        except (ClickHouseError, OSError, Unavailable) as error:
            if _says(error, TOO_EXPENSIVE):
                raise _too_expensive() from error
            if worth_a_retry(error) or _says(error, REFUSED):
                raise Unavailable(STORE, str(error)[:200]) from error
            raise
        except (
            Exception
        ) as error:  # the driver's reader has no error of its own for octets that are not what it expects
            self._store.forget()
            raise Unavailable(STORE, f"its answer cannot be read: {error!r}"[:200]) from error


def _says(error: Exception, codes: tuple[int, ...]) -> bool:
    return any(f"Code: {code}." in str(error) for code in codes)


def _too_expensive() -> Problem:
    return Problem(503, "the search takes too long: narrow it with since: or another filter", code="too_expensive")
