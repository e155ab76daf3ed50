"""What a process holds for one subscriber is bounded, and comes in a sensible order."""

from contracts.records import ConsumedRecord
from sinks.subscriptions.hold_events import MOST_OCTETS, MOST_UNTRIED, Event, HeldEvents
from tests.fakes.status_change import status_change, status_record


def event(partition: int = 0, padding: int = 0) -> Event:
    change = status_change()
    record = status_record(change)
    source = ConsumedRecord(record.topic, partition, 0, None, (record.value or b"") + b" " * padding, [])
    return Event(change.mail_id, change, source)


def test_what_is_due_again_comes_before_what_was_never_tried_and_what_is_not_due_does_not_come() -> None:
    held = HeldEvents()
    again, later, new = event(), event(), event()
    for one in (again, later, new):
        held.add(one)
    for one, due in ((again, 5.0), (later, 50.0)):
        assert held.take(0.0) is one
        one.due = due
        held.rest(one)
    assert held.take(10.0) is again and held.take(10.0) is new and held.take(10.0) is None
    assert held.take_rested() is later, "due or not"


def test_it_is_full_by_octets_and_by_events_that_were_never_tried_and_has_room_when_they_are_done() -> None:
    held = HeldEvents()
    large = event(padding=MOST_OCTETS)
    held.add(large)
    assert held.is_full()
    assert held.take_untried() is large
    held.done(large)
    assert not held.is_full() and len(held) == 0
    for _ in range(MOST_UNTRIED):
        held.add(event())
    assert held.is_full()


def test_a_partition_that_goes_is_forgotten_but_for_the_calls_under_way() -> None:
    held = HeldEvents()
    called, waits, new, other = event(1), event(1), event(1), event(2)
    for one in (called, waits, new, other):
        held.add(one)
    assert held.take_untried() is called and held.take_untried() is waits
    held.rest(waits)
    held.give_back({called.place})
    assert set(held) == {called, other}
    held.rest(called)  # it was not taken
    held.give_back({called.place})
    assert set(held) == {other}
    held.give_back({other.place})
    assert not held.is_full() and len(held) == 0
