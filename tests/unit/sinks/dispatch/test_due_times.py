"""A command waits until it is due, in its partition."""

from sinks.dispatch.due_times import MOST, DueTimes
from tests.unit.sinks.dispatch.jobs import job


def test_what_is_due_is_given_in_order_and_the_rest_stays() -> None:
    due = DueTimes()
    late, early, other = job(offset=1), job(offset=2), job(partition=1)
    for one, moment in ((late, 3000), (early, 1000), (other, 2000)):
        due.hold(one, moment)
    assert due.next_due() == 1000 and len(due) == 3
    assert due.take_due(999) == []
    assert set(due.take_due(2000)) == {early, other} and due.next_due() == 3000
    assert due.take_due(3000) == [late] and due.next_due() is None


def test_a_partition_is_full_when_enough_of_it_wait() -> None:
    due = DueTimes()
    for number in range(MOST):
        assert not due.full(("mail.dispatch", 0))
        due.hold(job(offset=number), 10)
    assert due.full(("mail.dispatch", 0)) and not due.full(("mail.dispatch", 1))


def test_what_belongs_to_a_partition_that_goes_is_given_back() -> None:
    due = DueTimes()
    gone, kept = job(partition=1), job(partition=2)
    due.hold(gone, 10)
    due.hold(kept, 10)
    assert due.give_back({("mail.dispatch", 1), ("mail.dispatch", 9)}) == [gone]
    assert due.take_due(10) == [kept]
