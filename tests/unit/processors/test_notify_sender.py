"""A sender is told once of a forward that failed for good, and not of what is ours to mend."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from contracts.events import Action, Attempt, AttemptReport, Outcome, RawPointer, Summary, Target
from contracts.ids import derived_mail_id, received_ms
from contracts.notices import Notices
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


ASKED = Notices(failure=True, delay=True, success=True, envelope_id="job 7", original_recipient="rfc822;a@x.test")


def submitted(outcome: Outcome, notices: Notices | None = ASKED, **changes: object) -> AttemptReport:
    """The report about a mail that an application submitted."""
    attempt = msgspec.structs.replace(
        report().attempts[0],
        outcome=outcome,
        code={Outcome.ACCEPTED: 250, Outcome.TEMPORARY: 451, Outcome.PERMANENT: 550}[outcome],
        enhanced_code={Outcome.ACCEPTED: "2.1.5", Outcome.TEMPORARY: "4.2.1", Outcome.PERMANENT: "5.1.1"}[outcome],
    )
    settled = None if outcome is Outcome.TEMPORARY else attempt
    return report(
        recipient="a@x.test",
        direction=Direction.OUTBOUND,
        action=Action.DELIVER,
        mail=Summary(received_at=NOW, envelope_from="app@ours.test", from_="desk@ours.test"),
        attempts=[attempt],
        targets=[Target(address="a@x.test", settled=settled)],
        next_attempt_at=None if settled else NOW,
        notify=False,
        notices=notices,
        **changes,
    )


@pytest.mark.parametrize(
    ("outcome", "late", "action", "status"),
    [
        (Outcome.PERMANENT, False, b"failed", b"5.1.1"),
        (Outcome.ACCEPTED, False, b"relayed", b"2.1.5"),
        (Outcome.TEMPORARY, True, b"delayed", b"4.2.1"),
    ],
)
def test_a_submitter_gets_the_reports_that_it_asked_for(
    outcome: Outcome, late: bool, action: bytes, status: bytes
) -> None:
    one = submitted(outcome, is_late=late)
    (record,) = SenderNotices(Settings()).of(one, settle(one))
    envelope, value = decode_headers(record.headers), record.value or b""
    assert (envelope.envelope_from, envelope.recipients, envelope.is_own_report) == ("", ["app@ours.test"], True)
    for line in (
        b"Action: " + action,
        b"Status: " + status,
        b"Original-Envelope-Id: job 7",
        b"Original-Recipient: rfc822;a@x.test",
        b"Final-Recipient: rfc822; a@x.test",
        b"From: Mail Delivery System <mailer-daemon@ours.test>",
    ):
        assert line + b"\r\n" in value, line
    assert (b"Will-Retry-Until: " in value) == late


def test_a_submitter_that_asks_for_nothing_gets_nothing() -> None:
    notices = SenderNotices(Settings())
    for outcome in Outcome.PERMANENT, Outcome.ACCEPTED, Outcome.TEMPORARY:
        for asked in (None, Notices()):
            one = submitted(outcome, asked, is_late=outcome is Outcome.TEMPORARY)
            assert notices.of(one, settle(one)) == []
    on_time = submitted(Outcome.TEMPORARY)
    assert notices.of(on_time, settle(on_time)) == []


def test_who_asks_is_told_however_often() -> None:
    notices, one = SenderNotices(Settings()), submitted(Outcome.PERMANENT)
    assert all(notices.of(one, settle(one)) for _ in range(PER_SENDER + 5))


def test_of_one_delay_there_is_one_report_whenever_it_is_told() -> None:
    notices = SenderNotices(Settings())
    first, again = (
        submitted(Outcome.TEMPORARY, is_late=True, occurred_at=NOW + timedelta(hours=hours)) for hours in (4, 5)
    )
    assert notices.of(first, settle(first))[0].key == notices.of(again, settle(again))[0].key


def test_nobody_is_told_of_the_null_sender_or_of_what_is_ours_to_mend() -> None:
    notices, failed = SenderNotices(Settings()), settle(submitted(Outcome.PERMANENT))
    assert notices.of_refused(failed, ASKED)
    nobody = msgspec.structs.replace(failed, mail=msgspec.structs.replace(failed.mail, envelope_from=""))
    ours = msgspec.structs.replace(failed, reason=Reason.INTERNAL_ERROR)
    assert notices.of_refused(nobody, ASKED) == notices.of_refused(ours, ASKED) == []


def test_a_report_that_cannot_be_written_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise ValueError("no such address")

    monkeypatch.setattr("processors.notify_sender.write_dsn", broken)
    one = submitted(Outcome.PERMANENT)
    assert SenderNotices(Settings()).of(one, settle(one)) == []
