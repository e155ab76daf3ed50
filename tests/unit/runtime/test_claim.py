"""Who stands first, whatever compaction took away and in whatever order answers come."""

import itertools
from datetime import timedelta

import msgspec
import pytest

from contracts import clock, topics
from contracts.codec import encode_claim
from contracts.records import ConsumedRecord
from contracts.shared_state import KEPT, Claim, claim_key
from runtime.claim import ClaimOrder

NOW = clock.now()


def claim(
    claimant: str, *, age: timedelta = timedelta(0), offset: int | None = None, answer: str | None = None
) -> Claim:
    return Claim(claim="send:k", claimant=claimant, owner="one", claimed_at=NOW - age, offset=offset, answer=answer)


def record(offset: int, one: Claim, *, deleted: bool = False) -> ConsumedRecord:
    value = None if deleted else encode_claim(one, "test")
    return ConsumedRecord(topics.CLAIMS, 0, offset, claim_key(one).encode(), value, [])


def order_of(*records: ConsumedRecord) -> ClaimOrder:
    order = ClaimOrder()
    for one in records:
        order.take(one)
    return order


def first(order: ClaimOrder) -> str | None:
    found = order.first("send:k", NOW)
    return found.claimant if found is not None else None


def test_nobody_has_what_nobody_claimed() -> None:
    assert first(order_of()) is None


def test_it_belongs_to_whoever_stands_first() -> None:
    order = order_of(record(3, claim("b")), record(4, claim("a")))
    assert first(order) == "b"
    assert order.first("send:k", NOW) == msgspec.structs.replace(claim("b"), offset=3)


def compactions(records: list[ConsumedRecord]) -> list[list[ConsumedRecord]]:
    """Every log that compaction can leave of this one: any record may be gone that is not the last of its key."""
    last = {record.key: record.offset for record in records}
    superseded = [record for record in records if record.offset != last[record.key]]
    return [
        [record for record in records if record not in gone]
        for count in range(len(superseded) + 1)
        for gone in itertools.combinations(superseded, count)
    ]


def test_whatever_compaction_leaves_the_first_stays_first() -> None:
    log = [
        record(0, claim("winner")),
        record(1, claim("loser")),
        record(2, claim("late loser")),
        record(3, claim("winner", offset=0, answer="first")),
        record(4, claim("loser"), deleted=True),
        record(5, claim("winner", offset=0, answer="second")),
        record(6, claim("latest loser")),
    ]
    logs = compactions(log)
    assert len(logs) == 8
    for left in logs:
        assert first(order_of(*left)) == "winner"


def test_what_is_taken_back_is_the_next_ones_and_then_free() -> None:
    order = order_of(record(0, claim("a")), record(1, claim("b")), record(2, claim("a"), deleted=True))
    assert first(order) == "b"
    order.take(record(3, claim("b"), deleted=True))
    assert first(order) is None and len(order) == 0


@pytest.mark.parametrize(("age", "known"), [(KEPT - timedelta(seconds=1), "old"), (KEPT, "new")])
def test_a_claim_is_void_after_a_day_even_when_its_answer_is_younger(age: timedelta, known: str) -> None:
    order = order_of(
        record(0, claim("old", age=age)),
        record(1, claim("new")),
        record(2, claim("old", age=age, offset=0, answer="x")),
    )
    assert first(order) == known


def test_old_claims_leave_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    order = order_of(*(record(n, claim(str(n), age=KEPT)) for n in range(100)))
    monkeypatch.setattr("runtime.claim.SWEEP", 0.0)
    order.take(record(100, claim("new")))
    assert len(order) == 1


def test_a_record_that_cannot_be_read_stands_for_nothing() -> None:
    rubbish = ConsumedRecord(topics.CLAIMS, 0, 0, b"send:k a", b"{}", [])
    assert first(order_of(rubbish, record(1, claim("b")))) == "b"


def test_who_asks_for_some_claims_keeps_no_others() -> None:
    some, others = ClaimOrder("send:"), ClaimOrder("mail ")
    for order in (some, others):
        order.take(record(3, claim("b")))
    assert first(some) == "b" and first(others) is None and len(others) == 0
