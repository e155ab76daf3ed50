"""A processor is ended for what waits in its own partitions, and not for what waits for others."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from contracts.records import Place, Record
from local.run_kafka import LocalKafka
from runtime import watch_lag
from runtime.watch_lag import Lag
from tests.fakes.broker import publishing, wait_until

ROOT = Path(__file__).resolve().parents[2]


class Ended(Exception):
    """The process would have ended."""


async def make(kafka: LocalKafka, topic: str, partitions: int) -> None:
    """A topic with three records in its partition 0."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(20)
    async with publishing(kafka.bootstrap) as publisher:
        await publisher.publish_all([Record(topic, "k", b"v", [], 0) for _ in range(3)])


@pytest.mark.parametrize(
    ("assigned", "busy", "ends"),
    [((0, 1), False, True), ((0,), False, True), ((0,), True, False), ((1,), False, False), ((), False, False)],
)
async def test_a_worker_ends_for_its_own_partitions_and_tells_the_lag_of_all(
    kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch, assigned: tuple[int, ...], busy: bool, ends: bool
) -> None:
    topic = f"assigned.{len(assigned)}{assigned[:1]}{busy}".replace("(", "").replace(",)", ".").replace(")", ".")
    await make(kafka, topic, 2)
    told: list[int] = []
    places: set[Place] = {(topic, number) for number in assigned}

    def ended(why: str) -> None:
        raise Ended(why)

    monkeypatch.setattr(watch_lag, "end_process", ended)
    monkeypatch.setattr(watch_lag, "INTERVAL", 0.1)
    lag = Lag({"bootstrap.servers": kafka.bootstrap}, f"group-of-{topic}", [topic])
    watching = watch_lag.watch_lag("x", lag, lambda: places, lambda: 0, lambda: busy, told.append, stuck=0.5)
    if ends:
        with pytest.raises(Ended, match="x stands still with 3 records waiting"):
            await asyncio.wait_for(watching, 30)
    else:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(watching, 2)
    lag.close()
    assert set(told) == {3}


async def test_a_worker_without_partitions_stays_while_another_has_a_backlog(kafka: LocalKafka, tmp_path: Path) -> None:
    topic = "assigned.idle"
    await make(kafka, topic, 1)
    workers: list[subprocess.Popen[bytes]] = []
    said = [tmp_path / "one", tmp_path / "other"]
    try:
        for out in said:
            argv = [sys.executable, "-m", "tests.integration.idle_processor", kafka.bootstrap, topic, f"{out}.data"]
            environ = {**os.environ, "PYTHONPATH": str(ROOT), "MAILSCOPE_INSTANCE": out.name}
            with out.open("wb") as file:
                workers.append(subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=file, stderr=subprocess.STDOUT))

        def settled() -> bool:
            """Both have looked 15 times in a row, one has the partition and the other has none."""
            assert all(worker.poll() is None for worker in workers), [out.read_text()[-2000:] for out in said]
            last = [out.read_text().splitlines()[-15:] for out in said]
            return sorted(last) == [["3 0"] * 15, ["3 1"] * 15]

        await wait_until(settled, 60)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
