"""A command that is read twice is done once, at whatever offset it stands, and so is a task of which two commands are left."""

from msgspec.structs import replace

from contracts import clock
from contracts.rounds import Round
from sinks.dispatch.know_repetitions import Repetitions
from tests.unit.sinks.dispatch.jobs import job

MAIL_ID = "01a206f7-6b43-7745-9bab-87fa221dd751"


def test_the_same_command_is_known_while_it_is_in_work_and_after_it_was_done() -> None:
    known = Repetitions()
    first, again = job(offset=1, mail_id=MAIL_ID), job(offset=7, partition=3, mail_id=MAIL_ID)
    known.begin(first)
    assert known.in_work(again.of) is first and not known.was_done(again)
    known.finish(first)
    assert known.in_work(again.of) is None and known.was_done(again)


def test_the_next_attempt_and_a_parked_command_that_comes_back_are_no_repetitions() -> None:
    known = Repetitions()
    first = job(mail_id=MAIL_ID)
    known.begin(first)
    known.finish(first, more=True)
    assert known.was_done(first)
    assert not known.was_done(job(mail_id=MAIL_ID, attempt=2))
    assert not known.was_done(job(mail_id=MAIL_ID, parked=1))


def test_of_a_task_that_is_over_no_command_is_done() -> None:
    """A sink that was killed after it had published the next attempt does this one again: if that is the last one, the next is none."""
    known = Repetitions()
    old, following = job(mail_id=MAIL_ID), job(mail_id=MAIL_ID, attempt=2)
    known.begin(old)
    assert known.in_work(following.of) is old
    known.finish(old)
    assert known.was_done(following)


def test_a_redelivery_is_another_task() -> None:
    known = Repetitions()
    old, again = job(mail_id=MAIL_ID, attempt=3), job(mail_id=MAIL_ID, attempt=4)
    again.command = replace(again.command, again=Round(number=1, attempts=3, at=clock.now(), by="anna"))
    known.finish(old)
    assert not known.was_done(again)


def test_a_step_behind_what_was_done_is_none() -> None:
    known = Repetitions()
    later, old = job(mail_id=MAIL_ID, attempt=2), job(mail_id=MAIL_ID, attempt=1, parked=3)
    known.begin(later)
    known.finish(later, more=True)
    assert known.was_done(old)
    known.finish(old, more=True)
    assert known.was_done(later), "how far it has come is not forgotten"


def test_what_was_given_back_or_put_aside_is_done_when_it_comes_again() -> None:
    known = Repetitions()
    first = job(mail_id=MAIL_ID)
    known.begin(first)
    known.forget(first)
    assert known.in_work(first.of) is None and not known.was_done(first) and known.jobs == []


def test_memory_of_what_was_done_is_bounded() -> None:
    known = Repetitions(remembered=10)
    jobs = [job(offset=number) for number in range(30)]
    for one in jobs:
        known.begin(one)
        known.finish(one)
    assert [known.was_done(one) for one in jobs] == [False] * 20 + [True] * 10
