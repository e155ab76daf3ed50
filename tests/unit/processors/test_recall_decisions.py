"""What was decided before a restart is found again, in whatever order its records ask."""

import pytest

from contracts.records import ConsumedRecord
from contracts.statuses import Direction
from processors.recall_decisions import Decisions


def record(offset: int, partition: int = 0) -> ConsumedRecord:
    return ConsumedRecord("mail.raw", partition, offset, b"", b"", [], 1000 + offset)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ConsumedRecord]:
    """From which records on the tail of `mail.events` was read."""
    found: list[ConsumedRecord] = []

    def read_tail(_: Decisions, source: ConsumedRecord) -> dict[str, list[object]]:
        found.append(source)
        return {}

    monkeypatch.setattr(Decisions, "_read_tail", read_tail)
    return found


async def test_the_first_record_is_where_to_look_from_also_when_a_later_one_asks_first(
    asked: list[ConsumedRecord],
) -> None:
    decisions = Decisions({}, Direction.INBOUND)
    for offset in (10, 11):
        decisions.begin(record(offset))
    await decisions.of(record(11), "small")  # while the message of 10 is fetched from the blob store
    await decisions.of(record(10), "large")
    assert [one.offset for one in asked] == [10]


async def test_a_partition_that_comes_anew_is_read_from_its_new_first_record(asked: list[ConsumedRecord]) -> None:
    decisions = Decisions({}, Direction.INBOUND)
    decisions.begin(record(10))
    await decisions.of(record(10), "one")
    decisions.forget({0})
    decisions.begin(record(30))
    await decisions.of(record(30), "two")
    assert [one.offset for one in asked] == [10, 30]
