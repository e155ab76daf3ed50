"""What becomes of one record."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from contracts import topics
from contracts.dead_letter import read_dead_letter
from contracts.errors import InvalidEvent
from contracts.records import ConsumedRecord, Record
from processors.run_app import RecordWork
from runtime.connect_kafka import MAX_RECORD
from runtime.suspect_records import SuspectRecords

SOURCE = ConsumedRecord(topics.ATTEMPTS, 0, 7, b"key", b"value", [])
LARGE = b"x" * (MAX_RECORD + 1)


class Deciding:
    """An app with ready answers."""

    def __init__(self, result: bytes, failed: bytes) -> None:
        self._result = result
        self._failed = failed

    async def handle(self, source: ConsumedRecord) -> list[list[Record]]:
        return [
            [Record("first", "k", b"", [])],
            [Record("second", "k", self._result, [])],
            [Record("third", "k", b"", [])],
        ]

    def tell_failed(self, source: ConsumedRecord, why: str) -> list[Record]:
        return [Record(f"failed: {why}", "k", self._failed, [])]

    def weigh(self, source: ConsumedRecord) -> int:
        return source.size

    def forget_partitions(self, partitions: Iterable[int]) -> None:
        return


class Broker:
    """Takes what Kafka would take."""

    def __init__(self) -> None:
        self.held: list[Record] = []

    async def publish_until_done(self, records: list[Record], who: str) -> None:
        for record in records:
            if record.size > MAX_RECORD and record.topic != topics.DEADLETTER:
                raise InvalidEvent("record_too_large", f"{record.topic}: {record.size} octets")
            self.held.append(record)


@pytest.mark.parametrize(
    ("result", "failed", "held"),
    [
        (b"", b"", ["first", "second", "third"]),
        (LARGE, b"", ["first", topics.DEADLETTER, "failed: record_too_large"]),
        (LARGE, LARGE, ["first", topics.DEADLETTER]),
    ],
)
async def test_a_record_whose_result_no_broker_takes_is_put_aside_and_told(
    tmp_path: Path, result: bytes, failed: bytes, held: list[str]
) -> None:
    broker = Broker()
    await RecordWork("x", Deciding(result, failed), broker, SuspectRecords(tmp_path / "journal"))(SOURCE)  # type: ignore[arg-type]
    assert [record.topic for record in broker.held] == held
    for letter in broker.held:
        if letter.topic == topics.DEADLETTER:
            assert letter.value == b"value" and read_dead_letter(letter.headers).reason == "record_too_large"
