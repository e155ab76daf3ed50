"""Commands from a real broker: done when due, done once, and never lost, whoever is killed."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from contracts import clock
from contracts.codec import decode
from contracts.dead_letter import read_dead_letter
from contracts.errors import InvalidEvent
from contracts.events import AttemptReport, Dispatch
from contracts.records import Record
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from sinks.dispatch.consume_commands import CommandConsumer
from sinks.dispatch.job import Done, Job
from sinks.dispatch.report_attempt import give_up
from tests.fakes.broker import command, committed, publishing, read_topic, record, settings_of, wait_until

ROOT = Path(__file__).resolve().parents[2]
Work = Callable[[Dispatch], Awaitable[object]]


@pytest.fixture(autouse=True)
def topics_are_there(kafka: LocalKafka, tmp_path: Path) -> None:
    apply_topics(settings_of(kafka.bootstrap, tmp_path))


@contextlib.asynccontextmanager
async def working(kafka: LocalKafka, folder: Path, name: str, work: Work, window: int = 20) -> AsyncIterator[None]:
    """A consumer whose group is its name; it takes the commands for recipients at <name>.test."""
    stop = asyncio.Event()

    async def do(job: Job) -> Done:
        job.begin()
        await work(job.command)
        return Done([])

    async with publishing(kafka.bootstrap) as publisher:
        consumer = CommandConsumer(
            name,
            f"mailscope-{name}",
            settings_of(kafka.bootstrap, folder),
            publisher,
            lambda one: one.recipient.endswith(f"@{name}.test"),
            lambda job: f"{name}.test",
            do,
            give_up,
            slots=window,
            per_lane=window,
        )
        running = asyncio.create_task(consumer.run(stop, 1.0))
        try:
            yield
        finally:
            stop.set()
            await running


async def publish(kafka: LocalKafka, *records: Record) -> None:
    async with publishing(kafka.bootstrap) as publisher:
        await publisher.publish_all(list(records))


async def test_a_command_waits_in_its_retry_topic_until_it_is_due_and_holds_up_nobody_else(
    kafka: LocalKafka, tmp_path: Path
) -> None:
    done = {}

    async def work(one: Dispatch) -> list[Record]:
        done[one.recipient] = clock.now()
        return []

    async with working(kafka, tmp_path, "due", work):
        await publish(kafka, record(command("first@due.test")))
        await wait_until(lambda: "first@due.test" in done)
        due = clock.now() + timedelta(seconds=2)
        later = command("later@due.test", not_before=due)
        await publish(kafka, record(later, "mail.dispatch.retry.1s"), record(command("now@due.test")))
        await wait_until(lambda: "later@due.test" in done)
    assert done["now@due.test"] < due <= done["later@due.test"]


def start_worker(kafka: LocalKafka, name: str, folder: Path, *more: str) -> "subprocess.Popen[bytes]":
    argv = [sys.executable, "-m", "tests.integration.slow_worker", kafka.bootstrap, name, str(folder), *more]
    return subprocess.Popen(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


async def test_a_worker_killed_in_the_middle_repeats_only_what_was_not_done(kafka: LocalKafka, tmp_path: Path) -> None:
    names = ["one", "two", "hang", "four", "five", "six"]
    await publish(kafka, *[record(command(f"{name}@killed.test")) for name in names])
    done = tmp_path / "done"
    done.touch()

    def lines() -> list[str]:
        return [line.partition("@")[0] for line in done.read_text().splitlines()]

    first = start_worker(kafka, "killed", tmp_path, "hang")
    try:
        await wait_until(lambda: len(lines()) == 5)
        await wait_until(lambda: bool(committed(kafka.bootstrap, "mailscope-killed", "mail.dispatch").metadata))
    finally:
        first.kill()
        first.wait()
    assert sorted(lines()) == sorted(set(names) - {"hang"})
    second = start_worker(kafka, "killed", tmp_path)
    try:
        await wait_until(lambda: "hang" in lines())
        await publish(kafka, record(command("last@killed.test")))
        await wait_until(lambda: "last" in lines())
    finally:
        second.terminate()
        second.wait(20)
    assert sorted(lines()) == sorted([*names, "last"])


async def test_what_cannot_be_read_is_put_aside_with_its_octets_and_the_next_one_is_done(
    kafka: LocalKafka, tmp_path: Path
) -> None:
    done = []

    async def work(one: Dispatch) -> list[Record]:
        if one.recipient.startswith("odd@"):
            raise InvalidEvent("odd", "for a test")
        if one.recipient.startswith("crash@"):
            raise ZeroDivisionError("for a test")
        done.append(one.recipient)
        return []

    odd, crash = command("odd@aside.test"), command("crash@aside.test")
    junk = Record("mail.dispatch", "junk", b"\x00 no event \xff", [("kept", b"1")], 0)
    odd_record = record(odd)
    await publish(kafka, junk, odd_record, record(crash), record(command("next@aside.test")))
    async with working(kafka, tmp_path, "aside", work):
        await wait_until(lambda: done)
    letters = [(read_dead_letter(one.headers()), one) for one in read_topic(kafka.bootstrap, "mail.deadletter")]
    ours = {letter.reason: one for letter, one in letters if letter.stage == "sinks.aside"}
    assert ours["not_a_cloudevent"].value() == junk.value and ("kept", b"1") in (
        ours["not_a_cloudevent"].headers() or []
    )
    assert ours["odd"].value() == odd_record.value and ours["crashed"].key() == crash.mail_id.encode()
    reports = [decode(one.value(), AttemptReport) for one in read_topic(kafka.bootstrap, "mail.attempts")]
    told = {one.recipient: one.attempts[0].reason for one in reports if one.recipient.endswith("@aside.test")}
    assert told == {"odd@aside.test": "internal_error", "crash@aside.test": "internal_error"}


async def test_a_command_that_was_put_aside_can_be_replayed(kafka: LocalKafka, tmp_path: Path) -> None:
    mended, done = False, []

    async def work(one: Dispatch) -> list[Record]:
        if not mended:
            raise InvalidEvent("not_yet")
        done.append(one.recipient)
        return []

    again = record(command("again@replay.test"))
    async with working(kafka, tmp_path, "replay", work):
        await publish(kafka, again)
        await wait_until(
            lambda: committed(kafka.bootstrap, "mailscope-replay", "mail.dispatch").offset > 0 and _aside(kafka)
        )
        mended = True
        await publish(kafka, again)
        await wait_until(lambda: done, 10)
    assert done == ["again@replay.test"]


def _aside(kafka: LocalKafka) -> bool:
    letters = [read_dead_letter(one.headers()) for one in read_topic(kafka.bootstrap, "mail.deadletter")]
    return any(letter.stage == "sinks.replay" for letter in letters)


async def test_the_same_command_written_twice_is_done_once(kafka: LocalKafka, tmp_path: Path) -> None:
    done = []

    async def work(one: Dispatch) -> list[Record]:
        done.append(one.recipient)
        return []

    twice = command("twice@once.test")
    await publish(kafka, record(twice), record(twice), record(twice, partition=1), record(command("end@once.test")))
    async with working(kafka, tmp_path, "once", work):
        await wait_until(lambda: "end@once.test" in done and "twice@once.test" in done)
        await publish(
            kafka,
            record(
                command(
                    "end2@once.test",
                ),
                partition=1,
            ),
        )
        await wait_until(lambda: "end2@once.test" in done)
    assert done.count("twice@once.test") == 1


async def test_no_more_than_the_window_are_in_work_and_all_get_their_turn(kafka: LocalKafka, tmp_path: Path) -> None:
    working_now, most, done = 0, 0, 0

    async def work(one: Dispatch) -> list[Record]:
        nonlocal working_now, most, done
        working_now += 1
        most = max(most, working_now)
        await asyncio.sleep(0.01)
        working_now -= 1
        done += 1
        return []

    await publish(kafka, *[record(command(f"n{n}@window.test"), partition=n % 2) for n in range(60)])
    async with working(kafka, tmp_path, "window", work, window=10):
        await wait_until(lambda: done == 60)
    assert most <= 12
