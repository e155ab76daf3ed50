"""A command that is read twice is done once, at whatever offset it stands."""

from sinks.dispatch.know_repetitions import Repetitions
from tests.unit.sinks.dispatch.jobs import job

MAIL_ID = "01a206f7-6b43-7745-9bab-87fa221dd751"


def test_the_same_command_is_known_while_it_is_in_work_and_after_it_was_done() -> None:
    known = Repetitions()
    first, again = job(offset=1, mail_id=MAIL_ID), job(offset=7, partition=3, mail_id=MAIL_ID)
    known.begin(first)
    assert known.in_work(again.identity) is first and not known.was_done(again.identity)
    known.finish(first)
    assert known.in_work(again.identity) is None and known.was_done(again.identity)


def test_the_next_attempt_and_a_parked_command_that_comes_back_are_no_repetitions() -> None:
    known = Repetitions()
    first = job(mail_id=MAIL_ID)
    known.begin(first)
    known.finish(first)
    assert not known.was_done(job(mail_id=MAIL_ID, attempt=2).identity)
    assert not known.was_done(job(mail_id=MAIL_ID, parked=1).identity)


def test_what_was_given_back_or_put_aside_is_done_when_it_comes_again() -> None:
    known = Repetitions()
    first = job(mail_id=MAIL_ID)
    known.begin(first)
    known.forget(first)
    assert known.in_work(first.identity) is None and not known.was_done(first.identity) and known.jobs == []


def test_memory_of_what_was_done_is_bounded() -> None:
    known = Repetitions(remembered=10)
    jobs = [job(offset=number) for number in range(30)]
    for one in jobs:
        known.begin(one)
        known.finish(one)
    assert [known.was_done(one.identity) for one in jobs] == [False] * 20 + [True] * 10
