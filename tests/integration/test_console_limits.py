"""What one request may cost the store, and what is open to anybody."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from console import query_store
from console.answer_errors import Problem
from console.query_store import StoreQueries, begin_deadline
from console.watch_store import StoreWatch
from tests.integration.console_log import Log

HEAVY = "SELECT sum(sipHash64(number)) FROM numbers(100000000000)"
HUNGRY = "SELECT count() FROM (SELECT number + {} AS n, toString(number) || repeat('x', 30) AS s FROM numbers(30000000) GROUP BY n, s)"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    console = {"open_metrics": False, "open_openapi": False}
    log = Log(tmp_path_factory.mktemp("limits"), {"console": console})
    log.add(subject="a row")
    yield log
    log.close()


async def test_all_queries_of_a_request_have_one_deadline(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_store, "SECONDS", 1.0)
    queries = StoreQueries(log.store, 1 << 30)
    began = time.monotonic()
    begin_deadline()
    for _ in range(100):
        with pytest.raises(Problem) as caught:
            await queries.rows(HEAVY)
        assert caught.value.code == "too_expensive"
    assert time.monotonic() - began < 50
    queries.close()


async def test_waiting_for_a_turn_counts_as_well(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_store, "SECONDS", 1.0)
    queries = StoreQueries(log.store, 1 << 30)
    began = time.monotonic()
    answers = await asyncio.gather(*(queries.rows(HEAVY) for _ in range(400)), return_exceptions=True)
    assert all(isinstance(one, Problem) for one in answers)
    assert time.monotonic() - began < 50
    queries.close()


@pytest.mark.parametrize(
    "breaks",
    [
        "SELECT number, sleepEachRow(0.001) FROM numbers(5000)",
        "SELECT number, throwIf(number = 3000) FROM numbers(5000)",
    ],
)
async def test_nothing_of_a_query_that_failed_stands_in_the_next_answer(log: Log, breaks: str) -> None:
    """The rows of one search, found until it took too long, were the first of another one's answer."""
    queries = StoreQueries(log.store, 1 << 30)
    for number in range(8):
        with pytest.raises((Problem, DatabaseError)):
            await queries.rows(f"{breaks} SETTINGS max_block_size = 100, max_threads = 1", seconds=0.5)
        answers = await asyncio.gather(*(queries.rows(f"SELECT {number} AS mine") for _ in range(4)))
        assert answers == [[{"mine": number}]] * 4
    queries.close()


def test_a_request_without_time_left_is_told_to_narrow_its_search(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    assert log.search() == ["a row"]
    monkeypatch.setattr(query_store, "SECONDS", 0.0)
    for path in ("/api/v1/mails", "/api/v1/mails?subject=*a*"):
        answer = log.http.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_expensive")


async def test_all_queries_together_have_one_limit_of_memory(log: Log) -> None:
    limit = 256 << 20
    queries = StoreQueries(log.store, limit)
    before, peak, stop = _resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.01):
            peak = max(peak, _resident())

    watching = threading.Thread(target=watch)
    watching.start()
    answers = await asyncio.gather(*(queries.rows(HUNGRY.format(n)) for n in range(4)), return_exceptions=True)
    stop.set()
    watching.join()
    assert all(isinstance(one, Problem) and one.code == "too_expensive" for one in answers)
    assert peak - before < 3 * limit, "four queries with a limit each took four times as much"
    assert await queries.rows("SELECT 1 AS one") == [{"one": 1}]
    queries.close()


def _resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmRSS")]
    return int(line.split()[1]) << 10


@pytest.mark.parametrize("path", ["/metrics", "/openapi.json"])
def test_what_is_closed_needs_a_token(log: Log, path: str) -> None:
    assert log.http.get(path).status_code == 200
    assert log.http.get(path, headers={"Authorization": ""}).status_code == 401
    only_send = {"Authorization": f"Bearer {log.new_token(('send',))}"}
    assert log.http.get(path, headers=only_send).status_code == 403
    for health in ("/healthz", "/readyz"):
        assert log.http.get(health, headers={"Authorization": ""}).status_code in (200, 503)


def test_health_knows_the_store_by_a_watch_of_its_own(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = StoreWatch(log.store)
    assert "has not been asked yet" in watch.why_not_ready()
    watch.start()
    deadline = time.monotonic() + 30
    while watch.why_not_ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    monkeypatch.setattr("console.watch_store.SILENT", -1.0)
    assert "has not answered" in watch.why_not_ready()  # a query that does not come back is trouble as well
    watch.stop()
