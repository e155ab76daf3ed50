"""What follows an attempt: a report, and the next command in the topic of its delay."""

from datetime import timedelta

import msgspec
import pytest

from contracts import clock
from contracts.codec import decode
from contracts.events import Action, Attempt, AttemptReport, Dispatch, Outcome, RawPointer, Summary, Target
from contracts.notices import Notices
from contracts.records import Record
from contracts.rounds import Round
from contracts.statuses import Direction, Reason
from runtime.connect_kafka import MAX_RECORD
from sinks.dispatch.report_attempt import report_attempt

DELAYS, NAMES = [timedelta(minutes=1), timedelta(minutes=5)], ["1m", "5m"]


def command(attempt: int = 1, *, lives: float = 3600, targets: tuple[str, ...] = ("a@x.test",)) -> Dispatch:
    now = clock.now()
    return Dispatch(
        mail_id="01a206f7-6b43-7745-9bab-87fa221dd751",
        recipient="r@ours.test",
        direction=Direction.INBOUND,
        action=Action.FORWARD,
        attempt=attempt,
        expires_at=now + timedelta(seconds=lives),
        raw=RawPointer(topic="mail.raw", partition=0, offset=1),
        mail=Summary(received_at=now),
        targets=[Target(address=address) for address in targets],
    )


def tried(target: str, outcome: Outcome, text: str = "said") -> Attempt:
    return Attempt(
        number=1, target=target, outcome=outcome, started_at=clock.now(), code=451, text=text, command="RCPT"
    )


def report_of(records: list[Record]) -> AttemptReport:
    return decode(records[0].value, AttemptReport)


def test_success_is_reported_and_nothing_more() -> None:
    records = report_attempt(command(), "x.test", [tried("a@x.test", Outcome.ACCEPTED)], DELAYS, NAMES)
    assert [record.topic for record in records] == ["mail.attempts"]
    assert report_of(records).next_attempt_at is None


def test_each_attempt_waits_in_the_topic_of_its_delay_and_the_last_delay_repeats() -> None:
    for attempt, topic in ((1, "1m"), (2, "5m"), (3, "5m"), (9, "5m")):
        records = report_attempt(command(attempt), "x.test", [tried("a@x.test", Outcome.TEMPORARY)], DELAYS, NAMES)
        assert records[1].topic == f"mail.dispatch.retry.{topic}"
        again = decode(records[1].value, Dispatch)
        assert again.attempt == attempt + 1 and again.not_before == report_of(records).next_attempt_at


def test_a_redelivery_begins_with_the_first_delay() -> None:
    began = clock.now() - timedelta(hours=1)
    again = msgspec.structs.replace(command(6), again=Round(number=1, attempts=5, at=began, by="anna"))
    records = report_attempt(again, "x.test", [tried("a@x.test", Outcome.TEMPORARY)], DELAYS, NAMES)
    assert records[1].topic == "mail.dispatch.retry.1m"
    assert report_of(records).round == decode(records[1].value, Dispatch).round == 1
    late = msgspec.structs.replace(again, expires_at=began + timedelta(hours=1))
    (told,) = report_attempt(late, "x.test", [tried("a@x.test", Outcome.TEMPORARY)], DELAYS, NAMES)
    assert "(not accepted within 1h)" in report_of([told]).attempts[0].text


def test_where_time_runs_out_the_last_answer_stands() -> None:
    records = report_attempt(
        command(lives=30), "x.test", [tried("a@x.test", Outcome.TEMPORARY, "451 busy")], DELAYS, NAMES
    )
    assert len(records) == 1
    (attempt,) = report_of(records).attempts
    assert (attempt.outcome, attempt.reason) == (Outcome.PERMANENT, Reason.EXPIRED)
    assert attempt.text.startswith("451 busy (not accepted within")


def test_only_targets_that_are_left_are_tried_again() -> None:
    both = command(targets=("a@x.test", "b@y.test"))
    records = report_attempt(
        both, "x.test", [tried("a@x.test", Outcome.ACCEPTED), tried("b@y.test", Outcome.TEMPORARY)], DELAYS, NAMES
    )
    again = decode(records[1].value, Dispatch)
    assert [target.settled is None for target in again.targets] == [False, True]


def test_a_retry_keeps_its_key_and_comes_up_to_a_tenth_later_so_that_not_all_come_at_once() -> None:
    for spread, seconds in ((0.0, 60), (1.0, 66)):
        before = clock.now()
        records = report_attempt(
            command(), "x.test", [tried("a@x.test", Outcome.TEMPORARY)], DELAYS, NAMES, spread=spread
        )
        due = decode(records[1].value, Dispatch).not_before
        assert records[1].key == "x.test" and due is not None
        assert timedelta(seconds=seconds) <= due - before <= timedelta(seconds=seconds + 1)


def test_a_command_that_was_parked_counts_anew_after_an_attempt() -> None:
    parked = msgspec.structs.replace(command(), parked=3)
    records = report_attempt(parked, "x.test", [tried("a@x.test", Outcome.TEMPORARY)], DELAYS, NAMES)
    again = decode(records[1].value, Dispatch)
    assert (again.attempt, again.parked) == (2, 0)


@pytest.mark.parametrize("character", ["x", "\x01", "\u20ac"])
def test_a_report_fits_into_kafka_whatever_the_servers_say(character: str) -> None:
    addresses = tuple(f"a{number}@x.test" for number in range(300))
    said = [tried(address, Outcome.PERMANENT, f"5.1.1 {character * 4000}") for address in addresses]
    (report,) = report_attempt(command(targets=addresses), "x.test", said, DELAYS, NAMES)
    assert report.size < MAX_RECORD // 2
    assert f"5.1.1 {character * 10}" in report_of([report]).attempts[-1].text


def test_a_mail_that_is_late_is_told_of_once() -> None:
    asked = Notices(delay=True, failure=True)
    first = msgspec.structs.replace(command(), notices=asked)
    delays = [timedelta(minutes=1)]

    def try_again(one: Dispatch, patience: timedelta) -> tuple[AttemptReport, Dispatch]:
        records = report_attempt(one, "x.test", [tried("a@x.test", Outcome.TEMPORARY)], delays, ["1m"], 0.0, patience)
        return report_of(records), decode(records[1].value, Dispatch)

    report, second = try_again(first, timedelta(hours=4))
    assert (report.is_late, second.notices) == (False, asked)
    report, third = try_again(second, timedelta(0))
    assert report.is_late and third.notices == Notices(failure=True)
    report, fourth = try_again(third, timedelta(0))
    assert not report.is_late and fourth.notices == Notices(failure=True)
