"""Partitions that go elsewhere while commands wait, begin, and are parked; without a broker."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts import clock
from contracts.codec import encode_dispatch
from contracts.events import Dispatch
from contracts.records import ConsumedRecord, Record
from contracts.settings import Settings
from sinks.dispatch import consume_commands
from sinks.dispatch.consume_commands import CommandConsumer
from sinks.dispatch.job import Done, Job, NotNow, Work
from tests.unit.sinks.dispatch.jobs import command

PLACE = ("mail.dispatch", 0)


class Holder:
    """No broker: partitions come and go as the test says."""

    def __init__(self, *_: Any) -> None:
        self.hurried = 0

    def commit_soon(self) -> None:
        self.hurried += 1


class Acknowledging:
    """A publisher whose records wait until `acknowledge` is set."""

    def __init__(self) -> None:
        self.published: list[Record] = []
        self.acknowledge = asyncio.Event()

    async def publish_until_done(self, records: list[Record], who: str) -> None:
        if records:
            await self.acknowledge.wait()
        self.published += records


def consumer(work: Work, publisher: Acknowledging, tmp_path: Path, slots: int = 10) -> CommandConsumer:
    settings = Settings.model_validate({"data_dir": str(tmp_path), "kafka": {"bootstrap": "127.0.0.1:1"}})
    lane_of: Callable[[Job], str] = lambda job: job.key  # noqa: E731
    made = CommandConsumer(
        "test",
        "test",
        settings,
        publisher,  # type: ignore[arg-type]
        lambda _: True,
        lane_of,
        work,
        lambda *_: [],
        slots=slots,
        per_lane=slots,
    )
    made._partitions.assign(PLACE, 0, "")
    return made


def read(one: Dispatch, offset: int = 0, place: tuple[str, int] = PLACE) -> ConsumedRecord:
    return ConsumedRecord(*place, offset, b"x.test", encode_dispatch(one, "test"), [])


@pytest.fixture(autouse=True)
def no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consume_commands, "PartitionHolder", Holder)


async def test_a_command_that_was_to_begin_in_this_moment_is_given_back_whole(tmp_path: Path) -> None:
    begun: list[Job] = []

    async def work(job: Job) -> Done:
        begun.append(job)
        await asyncio.sleep(60)
        return Done([])

    made = consumer(work, Acknowledging(), tmp_path)
    made._take(read(command("a@x.test")))
    await made._release({PLACE}, 1.0)  # its task has not had its first turn
    assert not begun
    assert (made._lanes.active, made._octets, made._known.jobs) == (0, 0, [])


async def test_a_command_that_does_not_hear_that_it_was_taken_back_begins_nothing(tmp_path: Path) -> None:
    """`asyncio.wait_for` swallows a cancellation where what it waits for has come in the same moment."""
    begun: list[Job] = []
    answers: list[asyncio.Future[None]] = []

    async def work(job: Job) -> Done:
        answers.append(asyncio.get_running_loop().create_future())
        try:
            await asyncio.wait_for(answers[-1], 60)
        except asyncio.CancelledError:  # from Python 3.12 on it does not
            pass
        job.begin()
        begun.append(job)
        return Done([])

    made = consumer(work, Acknowledging(), tmp_path)
    made._take(read(command("a@x.test")))
    await asyncio.sleep(0.01)
    answers[0].set_result(None)
    await made._release({PLACE}, 1.0)
    assert not begun
    assert (made._lanes.active, made._octets, made._known.jobs) == (0, 0, [])
    made._partitions.assign(PLACE, 0, "")
    made._take(read(command("a@x.test")))
    await asyncio.sleep(0.01)
    answers[1].set_result(None)
    await asyncio.sleep(0.01)
    assert len(begun) == 1 and made._partitions.commits() == [(PLACE, 1, "")]


async def test_a_command_that_comes_back_while_it_is_being_taken_back_is_done(tmp_path: Path) -> None:
    done: list[Job] = []
    ends = asyncio.Event()

    async def work(job: Job) -> Done:
        if not done and job.offsets == [(PLACE, 0)] and not ends.is_set():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await ends.wait()
        job.begin()
        done.append(job)
        return Done([])

    made = consumer(work, Acknowledging(), tmp_path)
    one = command("a@x.test")
    made._take(read(one))
    await asyncio.sleep(0.01)
    await made._release({PLACE}, 0.05)
    made._partitions.release({PLACE})
    made._partitions.assign(PLACE, 0, "")
    made._take(read(one))
    ends.set()
    for _ in range(130):
        made._offer_again()
        await asyncio.sleep(0.01)
    assert len(done) == 1 and made._partitions.commits() == [(PLACE, 1, "")]
    assert (made._lanes.active, made._octets, made._known.jobs) == (0, 0, [])


async def test_a_command_that_is_being_parked_is_parked_before_its_partition_goes(tmp_path: Path) -> None:
    async def work(job: Job) -> Done:
        if job.offsets[0][1] == 0:
            return Done([], answered=False, why="nobody is there")
        await asyncio.sleep(60)
        return Done([])

    publisher = Acknowledging()
    made = consumer(work, publisher, tmp_path, slots=1)
    made._take(read(command("a@x.test"), 0))
    made._take(read(command("b@x.test"), 1))  # waits, and is parked when the first one finds nobody
    await asyncio.sleep(0.01)
    made._take(read(command("c@x.test"), 2))  # its lane rests: parked at once
    await asyncio.sleep(0.01)
    asyncio.get_running_loop().call_later(0.1, publisher.acknowledge.set)
    await made._release({PLACE}, 5.0)
    assert {record.topic for record in publisher.published} >= {"mail.dispatch.retry.1m"}
    assert made._partitions.commits({PLACE}) == [(PLACE, 3, "")], (
        "else its new owner does them, and what is parked as well"
    )
    assert (made._octets, made._known.jobs) == (0, [])


async def test_not_now_leaves_nothing_behind(tmp_path: Path) -> None:
    async def work(job: Job) -> Done:
        raise NotNow(1.0, "no room")

    publisher = Acknowledging()
    publisher.acknowledge.set()
    made = consumer(work, publisher, tmp_path)
    made._take(read(command("a@x.test")))
    await asyncio.sleep(0.05)
    assert (made._lanes.active, made._octets, made._known.jobs) == (0, 0, [])
    assert made._partitions.commits() == [(PLACE, 1, "")]


async def test_a_repetition_in_another_partition_is_not_left_behind(tmp_path: Path) -> None:
    """What was parked twice stands in two retry topics: when the partition of the one in work goes, the other one is still to be done."""
    done: list[Job] = []

    async def work(job: Job) -> Done:
        if not done and job.place == PLACE:
            await asyncio.sleep(60)
        done.append(job)
        return Done([])

    publisher = Acknowledging()
    publisher.acknowledge.set()
    made = consumer(work, publisher, tmp_path)
    other = ("mail.dispatch.retry.5m", 0)
    made._partitions.assign(other, 0, "")
    one = command("a@x.test")
    made._take(read(one, 0))
    made._take(read(one, 0, other))
    await asyncio.sleep(0.01)
    await made._release({PLACE}, 1.0)
    made._partitions.release({PLACE})
    for _ in range(130):
        made._offer_again()
        await asyncio.sleep(0.01)
    assert made._partitions.commits() == [(other, 1, "")]
    assert (made._lanes.active, made._octets, made._known.jobs) == (0, 0, [])


async def test_a_command_whose_time_is_over_does_not_wait_for_a_destination_that_rests(tmp_path: Path) -> None:
    done: list[str] = []

    async def work(job: Job) -> Done:
        done.append(job.command.recipient)
        return Done([], answered=False, why="nobody is there")

    publisher = Acknowledging()
    publisher.acknowledge.set()
    made = consumer(work, publisher, tmp_path)
    made._take(read(command("silent@x.test"), 0))
    await asyncio.sleep(0.01)
    over = msgspec.structs.replace(command("over@x.test"), expires_at=clock.now() - timedelta(seconds=1))
    made._take(read(over, 1))
    made._take(read(command("waits@x.test"), 2))
    await asyncio.sleep(0.01)
    assert done == ["silent@x.test", "over@x.test"]
    assert [record.topic for record in publisher.published if "retry" in record.topic] == ["mail.dispatch.retry.1m"]


async def test_two_commands_of_one_task_are_delivered_once(tmp_path: Path) -> None:
    """A sink killed between the publication of a parked command and its commit reads both."""
    begun: list[int] = []
    ended = asyncio.Event()

    async def work(job: Job) -> Done:
        begun.append(job.command.parked)
        job.begin()
        await ended.wait()
        return Done([])

    publisher = Acknowledging()
    publisher.acknowledge.set()
    one = consumer(work, publisher, tmp_path)
    first = command()
    one._take(read(first))
    parked = msgspec.structs.replace(first, parked=1)
    retry = ("mail.dispatch.retry.12s", 0)
    one._partitions.assign(retry, 0, "")
    one._take(read(parked, place=retry))
    await asyncio.sleep(0)
    assert begun == [0], "the second one waits for the first one's end"
    ended.set()
    await asyncio.gather(*one._tasks)
    for job in one._due.take_due(clock.to_ms(clock.now()) + 60_000):
        one._wait_or_offer(job)
    await asyncio.sleep(0)
    assert begun == [0]
    assert [(place, offset) for place, offset, _ in one._partitions.commits()] == [(PLACE, 1), (retry, 1)]


async def test_a_command_that_another_one_follows_is_committed_at_once(tmp_path: Path) -> None:
    async def work(job: Job) -> Done:
        raise NotNow(12.0, "busy")

    publisher = Acknowledging()
    publisher.acknowledge.set()
    one = consumer(work, publisher, tmp_path)
    one._take(read(command()))
    await asyncio.gather(*one._tasks)
    assert one._holder.hurried == 1  # type: ignore[attr-defined]


async def test_an_earlier_step_does_not_wait_for_a_later_one_that_is_there(tmp_path: Path) -> None:
    """Fifty that wait stop a partition."""
    publisher = Acknowledging()

    async def work(job: Job) -> Done:
        raise AssertionError("nothing is due")

    one = consumer(work, publisher, tmp_path)
    retry = ("mail.dispatch.retry.1h", 0)
    one._partitions.assign(retry, 0, "")
    later = clock.now() + timedelta(hours=1)
    for number in range(60):
        first = command(f"a{number}@x.test")
        one._take(read(msgspec.structs.replace(first, attempt=2, not_before=later), number, retry))
        one._take(read(first, number))
    assert not one._due.full(PLACE)
    assert [(place, offset) for place, offset, _ in one._partitions.commits() if place == PLACE] == [(PLACE, 60)]
