"""What was taken and what the log knows, compared in the real engine: every loss is named, and nothing else."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from console.query_store import StoreQueries
from console.reconcile import Reconciler
from console.search_mails import Search
from contracts import clock, metrics
from contracts.errors import Unavailable
from contracts.statuses import Direction, Status
from runtime.expose_metrics import gauge
from tests.integration.console_log import Log

MESSAGE = b"Subject: x\r\n\r\nx"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path)
    yield log
    log.close()


@pytest.fixture
def queries(log: Log) -> Iterator[StoreQueries]:
    queries = StoreQueries(log.store, 1 << 30)
    yield queries
    queries.close()


def complete_until(log: Log, ago: timedelta) -> None:
    now = clock.to_ms(clock.now())
    log.store.client.insert(
        "progress", [["log", now - clock_ms(ago), now]], column_names=["name", "complete_until", "written_at"]
    )


def clock_ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)


def lose(log: Log, table: str, mail_id: str) -> None:
    log.store.client.command(f"DELETE FROM {table} WHERE mail_id = '{mail_id}'")


async def test_every_loss_is_named_and_nothing_else(log: Log, queries: StoreQueries) -> None:
    ages = [timedelta(minutes=number) for number in (2, 3, 4, 5, 20)]
    mails = [log.add(age=age, raw=MESSAGE) for age in ages]
    log.add("tom@x.test", Status.REJECTED, age=timedelta(minutes=3))  # refused before DATA: it has no message
    log.add(
        "tom@x.test",
        Status.DELIVERED,
        direction=Direction.OUTBOUND,
        age=timedelta(minutes=3),
        raw=MESSAGE,
        mail_id=mails[1],
    )
    young = log.add(age=timedelta(seconds=20), raw=MESSAGE)
    lose(log, "mails", young)  # not decided yet
    lag = 0.0
    reconciler = Reconciler(queries, Search(queries, log.settings), log.settings, lambda: lag)
    since = clock.now() - timedelta(hours=1)
    with pytest.raises(Unavailable, match="does not say yet"):
        await reconciler.compare(since)
    complete_until(log, timedelta(minutes=1))
    found = await reconciler.compare(since)
    assert found["taken"] == 5 and [kind["mails"] for kind in found["missing"]] == [0, 0]

    for lost in (mails[0], mails[4]):
        lose(log, "mails", lost)
    lose(log, "raw", mails[2])
    found = await reconciler.compare(since)
    named = {kind["what"]: [mail["mail_id"] for mail in kind["named"]] for kind in found["missing"]}
    assert named == {"decision": [mails[4], mails[0]], "message": [mails[2]]}
    answer = log.http.get("/api/v1/reconciliation?since=yesterday")
    assert answer.status_code == 422

    log.store.client.command(
        f"ALTER TABLE raw UPDATE erased_at = now64(3) WHERE mail_id = '{mails[0]}' SETTINGS mutations_sync = 1"
    )
    found = await reconciler.compare(since)
    assert [mail["mail_id"] for mail in found["missing"][0]["named"]] == [mails[4]], "its rows were erased on request"

    lag = 180.0  # of the messages: what is newer than that may still come
    found = await reconciler.compare(since)
    assert [mail["mail_id"] for kind in found["missing"] for mail in kind["named"]] == [mails[4], mails[2]]


async def test_the_metric_follows_and_each_mail_is_told_once(
    log: Log, queries: StoreQueries, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.reconcile.EVERY", 0.05)
    lost = log.add(age=timedelta(minutes=2), raw=MESSAGE)
    lose(log, "mails", lost)
    complete_until(log, timedelta(minutes=1))
    reconciler = Reconciler(queries, Search(queries, log.settings), log.settings, lambda: 0.0)
    log.store.client.command("ALTER TABLE raw RENAME COLUMN erased_at TO later")  # a schema that is still another one
    watching = asyncio.create_task(reconciler.watch())
    shown = gauge(metrics.MISSING_MAILS).labels("decision")
    await asyncio.sleep(0.5)
    assert not watching.done()
    log.store.client.command("ALTER TABLE raw RENAME COLUMN later TO erased_at")
    try:
        for _ in range(1200):
            if shown._value.get() == 1:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        assert shown._value.get() == 1 and caplog.text.count(lost) == 1
        log.add(age=timedelta(minutes=2), mail_id=lost)
        for _ in range(1200):
            if shown._value.get() == 0:
                break
            await asyncio.sleep(0.05)
        assert shown._value.get() == 0 and [kind["mails"] for kind in reconciler.missing] == [0, 0]
    finally:
        watching.cancel()
