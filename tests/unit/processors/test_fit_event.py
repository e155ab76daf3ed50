"""The event of a report fits into one record, whatever the targets answered."""

from datetime import UTC, datetime
from typing import Any

import pytest

from contracts import topics
from contracts.codec import decode, encode_attempt_report
from contracts.events import Action, Attempt, AttemptReport, MailEvent, Outcome, RawPointer, Summary, Target
from contracts.records import ConsumedRecord, Record
from contracts.settings import Settings
from contracts.statuses import Direction, Status
from processors.outcomes import Outcomes
from runtime.connect_kafka import MAX_RECORD

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONTROL = "\x01" * 3924  # six times as long in JSON


def refused(number: int, text: str, outcome: Outcome = Outcome.TEMPORARY, **fields: Any) -> Attempt:
    host = f"mx{number}.x.test"
    return Attempt(
        number=1,
        target=f"{number}@x.test",
        outcome=outcome,
        started_at=NOW,
        **{"host": host, "command": "RCPT", "code": 451, "text": text, **fields},
    )


def report(attempts: list[Attempt], action: Action = Action.FORWARD) -> ConsumedRecord:
    waits = any(one.outcome is Outcome.TEMPORARY for one in attempts)
    made = AttemptReport(
        mail_id="01a206f7-6b43-7745-9bab-87fa221dd751",
        recipient="team@ours.test",
        direction=Direction.INBOUND,
        action=action,
        attempt=1,
        occurred_at=NOW,
        mail=Summary(received_at=NOW, envelope_from="anna@good.test"),
        raw=RawPointer(topic="mail.raw", partition=0, offset=0),
        attempts=attempts,
        targets=[Target(address=one.target) for one in attempts],
        next_attempt_at=NOW if waits else None,
    )
    return ConsumedRecord(topics.ATTEMPTS, 0, 0, b"", encode_attempt_report(made, "test"), [])


async def told(attempts: list[Attempt], action: Action = Action.FORWARD) -> MailEvent:
    """The event that is published about a report; all of its records fit."""
    records = [record for group in await Outcomes(Settings()).handle(report(attempts, action)) for record in group]
    return event_of(records)


def event_of(records: list[Record]) -> MailEvent:
    assert all(record.size <= MAX_RECORD for record in records), [(record.topic, record.size) for record in records]
    return next(decode(record.value, MailEvent) for record in records if record.topic == topics.EVENTS)


async def test_control_characters_of_41_targets_are_cut_and_the_decisive_answer_is_whole() -> None:
    attempts = [refused(number, CONTROL) for number in range(41)]
    assert len(report(attempts).value or b"") <= MAX_RECORD, "a report that Kafka holds"
    event = await told(attempts)
    assert event.status is Status.DEFERRED and [one.target for one in event.attempts] == [
        one.target for one in attempts
    ]
    *others, last = [one.text for one in event.attempts]
    assert last == CONTROL, "the last one that waits decides"
    assert all(text.endswith("…") and CONTROL.startswith(text[:-1]) for text in others)
    assert min(map(len, others)) > 3800 and max(map(len, others)) - min(map(len, others)) <= 1


async def test_the_largest_report_that_is_put_aside_is_told_by_an_event_that_fits() -> None:
    source = report([refused(0, "x" * (MAX_RECORD - 100 - report([refused(0, "")]).size))])
    assert source.size == MAX_RECORD - 100
    event = event_of(Outcomes(Settings()).tell_failed(source, "record_too_large"))
    assert event.status is Status.DEFERRED and event.attempts[0].text.endswith("x…")


async def test_short_answers_are_whole_and_long_ones_share_alike_what_those_leave() -> None:
    attempts = [refused(number, '"ä\n' * 100_000) for number in range(2)]
    attempts += [refused(number, "4.3.0 busy") for number in range(2, 12)]
    long, as_long, *short = [one.text for one in (await told(attempts)).attempts]
    assert short == ["4.3.0 busy"] * 10
    assert long.endswith("…") and abs(len(long) - len(as_long)) <= 1
    assert 240_000 < len(long) < 250_000, "six octets for three characters, and all of the room"


async def test_the_answer_that_a_bounce_follows_from_is_the_one_that_stays_whole() -> None:
    attempts = [refused(number, f"{number} " + CONTROL, Outcome.PERMANENT, code=550) for number in range(45)]
    event = await told(attempts)
    assert event.status is Status.DELIVERY_FAILED and event.bounce is not None
    assert event.attempts[0].text == attempts[0].text and event.bounce.host == "mx0.x.test"
    assert all(one.text.endswith("…") for one in event.attempts[1:])


@pytest.mark.parametrize("action", [Action.FORWARD, Action.HANDLE])
async def test_one_answer_that_is_too_large_alone_is_cut(action: Action) -> None:
    event = await told([refused(0, "\x01" * 200_000)], action)
    assert event.attempts[0].text.endswith("…") and len(event.attempts[0].text) > 150_000


@pytest.mark.parametrize("text", ["", "4.3.0 busy"])
async def test_targets_that_do_not_fit_without_an_answer_are_left_out_and_counted(text: str) -> None:
    event = await told([refused(number, text, tls="x" * 1000) for number in range(1500)])
    assert 500 < len(event.attempts) < 1000 and event.attempts[-1].target == "1499@x.test"
    assert event.detail.endswith(f"({1500 - len(event.attempts)} more targets are not shown)")


async def test_an_event_that_fits_says_all() -> None:
    event = await told([refused(number, CONTROL) for number in range(30)])
    assert {one.text for one in event.attempts} == {CONTROL}
