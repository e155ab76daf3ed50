"""A sender is told once of a forward that failed for good, and not of what is ours to mend."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from contracts.events import Action, Attempt, AttemptReport, Outcome, RawPointer, Summary, Target
from contracts.ids import derived_mail_id, received_ms
from contracts.raw_message import RawType, decode_headers
from contracts.settings import Settings
from contracts.statuses import Direction, Reason
from mail.bounce_address import BounceAddresses
from mail.parse_headers import split_message
from processors.decide_outbound import decide_outbound
from processors.decision import ReadMail
from processors.notify_sender import PER_SENDER, SenderNotices
from processors.settle import settle
from processors.summarise import summarise

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MAIL_ID = "01a206f7-6b43-7745-9bab-87fa221dd751"


def report(**changes: Any) -> AttemptReport:
    attempt = Attempt(
        number=1,
        target="a@x.test",
        outcome=Outcome.PERMANENT,
        started_at=NOW,
        host="mx.x.test",
        command="RCPT",
        code=550,
        enhanced_code="5.1.1",
        text="5.1.1 no such user",
    )
    base = AttemptReport(
        mail_id=MAIL_ID,
        recipient="team@ours.test",
        direction=Direction.INBOUND,
        action=Action.FORWARD,
        attempt=1,
        occurred_at=NOW,
        mail=Summary(received_at=NOW, envelope_from="anna@good.test", from_="anna@good.test", subject="hi"),
        raw=RawPointer(topic="mail.raw", partition=0, offset=0),
        attempts=[attempt],
        targets=[Target(address="a@x.test", settled=attempt)],
        notify=True,
    )
    return msgspec.structs.replace(base, **changes)


def test_a_bounce_of_a_forward_becomes_a_mail_with_the_null_sender_to_who_sent_it() -> None:
    failed = report()
    (record,) = SenderNotices(Settings()).of(failed, settle(failed))
    envelope = decode_headers(record.headers)
    assert (envelope.type, envelope.envelope_from, envelope.recipients) == (RawType.SUBMITTED, "", ["anna@good.test"])
    assert record.key == envelope.mail_id and envelope.tag == MAIL_ID
    assert b"Diagnostic-Code: smtp; 550 5.1.1 no such user" in (record.value or b"")
    mail = ReadMail(envelope, split_message(record.value or b""), RawPointer(topic="mail.raw", partition=0, offset=1))
    summary = summarise(envelope, mail.message, None, "")
    (command,) = decide_outbound(mail, summary, {}, {}, Settings(), BounceAddresses(b"key"), NOW).commands
    assert command.envelope_from == "" and not command.notify


def test_a_replay_makes_the_same_mail() -> None:
    failed = report()
    assert SenderNotices(Settings()).of(failed, settle(failed)) == SenderNotices(Settings()).of(failed, settle(failed))
    assert received_ms(derived_mail_id(NOW, "x")) == int(NOW.timestamp() * 1000)
    assert derived_mail_id(NOW, "x") != derived_mail_id(NOW, "y")


def test_what_may_not_be_told_waits_or_is_ours_is_not_told() -> None:
    notices = SenderNotices(Settings())
    ours = msgspec.structs.replace(report().attempts[0], reason=Reason.INTERNAL_ERROR)
    for quiet in (
        report(notify=False),
        report(next_attempt_at=NOW),
        report(attempts=[ours], targets=[Target(address="a@x.test", settled=ours)]),
    ):
        assert notices.of(quiet, settle(quiet)) == []
    off = SenderNotices(Settings.model_validate({"delivery": {"notify_senders": False}}))
    assert off.of(report(), settle(report())) == []


def test_one_sender_is_told_a_few_times_an_hour() -> None:
    notices = SenderNotices(Settings())
    told = [bool(notices.of(report(), settle(report()))) for _ in range(PER_SENDER + 5)]
    assert told == [True] * PER_SENDER + [False] * 5
    other = report(mail=Summary(received_at=NOW, envelope_from="bo@good.test"))
    assert notices.of(other, settle(other))
