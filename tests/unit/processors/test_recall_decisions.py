"""What was decided before a restart is found again, in whatever order its records ask."""

import pytest
from msgspec.structs import replace

from contracts.events import MailEvent, RawPointer
from contracts.records import ConsumedRecord
from contracts.statuses import Direction, Status
from processors.recall_decisions import Decisions, Tail
from tests.fakes.mail_events import event


def record(offset: int, partition: int = 0) -> ConsumedRecord:
    return ConsumedRecord("mail.raw", partition, offset, b"", b"", [], 1000 + offset)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[ConsumedRecord]:
    """From which records on the tail of `mail.events` was read."""
    found: list[ConsumedRecord] = []

    def read_tail(_: Decisions, source: ConsumedRecord) -> Tail:
        found.append(source)
        return Tail()

    monkeypatch.setattr(Decisions, "_read_tail", read_tail)
    return found


async def test_the_first_record_is_where_to_look_from_also_when_a_later_one_asks_first(
    asked: list[ConsumedRecord],
) -> None:
    decisions = Decisions({}, Direction.INBOUND)
    for offset in (10, 11):
        decisions.begin(record(offset))
    await decisions.of(record(11))  # while the message of 10 is fetched from the blob store
    await decisions.of(record(10))
    assert [one.offset for one in asked] == [10]


async def test_a_partition_that_comes_anew_is_read_from_its_new_first_record(asked: list[ConsumedRecord]) -> None:
    decisions = Decisions({}, Direction.INBOUND)
    decisions.begin(record(10))
    await decisions.of(record(10))
    decisions.forget({0})
    decisions.begin(record(30))
    await decisions.of(record(30))
    assert [one.offset for one in asked] == [10, 30]


async def test_a_decision_is_found_until_the_record_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again because Kafka was away in between is not decided anew."""
    monkeypatch.setattr(Decisions, "_read_tail", lambda _, source: Tail({10: [event(Status.SENT)]}))
    decisions = Decisions({}, Direction.OUTBOUND)
    decisions.begin(record(10))
    for _ in range(2):
        assert [one.status for one in await decisions.of(record(10))] == [Status.SENT]
    decisions.decided(record(10))
    assert await decisions.of(record(10)) == []


async def test_what_a_sink_has_worked_on_is_known_from_the_events_of_its_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told(status: Status, offset: int, attempt: int = 0) -> MailEvent:
        at = RawPointer(topic="mail.raw", partition=0, offset=offset)
        return replace(event(status, attempt=attempt), raw=at)

    tail = [
        told(Status.SENT, 9),
        told(Status.DELIVERED, 9, 1),
        told(Status.SENT, 10),
        told(Status.DEFERRED, 10),  # parked, before any attempt
        told(Status.SENT, 11),
        told(Status.DELIVERY_FAILED, 12, 1),
    ]
    monkeypatch.setattr(Decisions, "_events", lambda *_: iter(tail))
    monkeypatch.setattr(Decisions, "_compare_partitions", lambda _: None)
    decisions = Decisions({}, Direction.OUTBOUND)
    decisions.begin(record(10))
    assert [await decisions.tried(record(one)) for one in (9, 10, 11, 12)] == [set(), {"a@x.test"}, set(), {"a@x.test"}]
    assert [[one.status for one in await decisions.of(record(at))] for at in (10, 12)] == [[Status.SENT], []]
