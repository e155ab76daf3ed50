"""A record that kills its process is known by its next one."""

import asyncio
from pathlib import Path

import pytest

from contracts.records import ConsumedRecord
from runtime.suspect_records import SLOTS, SUSPECT, SuspectRecords


def record(offset: int) -> ConsumedRecord:
    return ConsumedRecord("mail.raw", 1, offset, None, b"", [])


def test_each_death_with_a_record_in_work_counts_and_those_that_only_waited_do_not(tmp_path: Path) -> None:
    path = tmp_path / "run" / "inbound.suspects"
    for deaths in range(4):
        journal = SuspectRecords(path)
        assert journal.deaths(record(7)) == deaths
        journal.begin(record(7))
        if not deaths:  # beside it at the first death, and not read again before the next ones
            journal.begin(record(8))
        journal.begin(record(9))
        journal.end(record(9))
        journal.close()  # the process is gone, and nothing was ended
    journal = SuspectRecords(path)
    assert [journal.deaths(record(offset)) for offset in (7, 8, 9)] == [4, 1, 0]


def test_what_ended_well_is_no_suspect_any_more(tmp_path: Path) -> None:
    journal = SuspectRecords(tmp_path / "suspects")
    journal.begin(record(1))
    journal.close()
    journal = SuspectRecords(tmp_path / "suspects")
    assert journal.deaths(record(1)) == 1
    journal.begin(record(1))
    journal.end(record(1))
    assert journal.deaths(record(1)) == 0
    journal.close()
    assert (tmp_path / "suspects").read_bytes().strip(b"\0") == b""


def test_it_holds_what_is_in_work_and_no_more_whatever_stands_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "suspects"
    path.write_bytes(b"\xff junk \n" * 20_000)
    journal = SuspectRecords(path)
    for offset in range(3 * SLOTS):
        assert journal.deaths(record(offset)) == 0
        journal.begin(record(offset))
    assert path.stat().st_size == SLOTS * 128


async def test_a_suspect_that_is_given_back_keeps_its_deaths(tmp_path: Path) -> None:
    source = record(7)
    for _ in range(SUSPECT):
        journal = SuspectRecords(tmp_path / "suspects")
        journal.begin(source)
        journal.close()
    journal = SuspectRecords(tmp_path / "suspects")

    async def work() -> None:
        async with journal.in_work(source):
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert journal.deaths(source) == SUSPECT
    journal.close()
