"""A worker that one record kills: `python -m tests.integration.dying_worker JOURNAL DONE`.

It works on eight records side by side, as a Faust app does; the one at offset 5 ends the process as an out-of-memory kill would. What was
published is written to DONE."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from contracts.records import ConsumedRecord, Record
from processors.run_app import RecordWork
from runtime.suspect_records import SuspectRecords


class Poisoned:
    """Record 5 kills whoever works on it."""

    async def handle(self, source: ConsumedRecord) -> list[list[Record]]:
        await asyncio.sleep(0.01)
        if source.offset == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(0.01)
        return [[Record("done", str(source.offset), b"", [])]]

    def tell_failed(self, source: ConsumedRecord, why: str) -> list[Record]:
        return [Record("failed", str(source.offset), why.encode(), [])]

    def weigh(self, source: ConsumedRecord) -> int:
        return source.size

    def forget_partitions(self, partitions: Iterable[int]) -> None:
        return


class File:
    """Where a broker would be."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def publish_until_done(self, records: list[Record], who: str) -> None:
        with self._path.open("a") as file:
            file.writelines(f"{record.topic} {record.key}\n" for record in records)


async def main(journal: Path, done: Path) -> None:
    work = RecordWork("dying", Poisoned(), File(done), SuspectRecords(journal))  # type: ignore[arg-type]
    sources = [ConsumedRecord("mail.raw", 0, offset, str(offset).encode(), b"", []) for offset in range(8)]
    await asyncio.gather(*map(work, sources))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
