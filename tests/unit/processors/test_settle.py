"""What an attempt means for its mail, and which answer the log and the public topic show for it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.codec import encode_mail_event
from contracts.events import Action, Attempt, AttemptReport, MailEvent, Outcome, RawPointer, Summary, Target
from contracts.records import ConsumedRecord
from contracts.statuses import Direction, Reason
from processors.publish_events import status_change
from processors.settle import settle
from sinks.clickhouse.to_rows import event_rows

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
MAIL_ID = "01a206f7-6b43-7745-9bab-87fa221dd751"


def tried(outcome: Outcome, target: str = "a@x.test", **fields: Any) -> Attempt:
    answers = {
        Outcome.ACCEPTED: (250, "ok"),
        Outcome.PERMANENT: (550, "5.1.1 no such user"),
        Outcome.SKIPPED: (200, ""),
    }
    code, text = answers.get(outcome, (451, "4.3.0 busy"))
    base = {
        "number": 1,
        "target": target,
        "outcome": outcome,
        "started_at": NOW,
        "host": f"mx.{target.partition('@')[2]}",
    }
    return Attempt(**{**base, "code": code, "text": text, "command": "RCPT", **fields})


def report(
    attempts: list[Attempt], *, before: tuple[Attempt, ...] = (), action: Action = Action.DELIVER, **fields: Any
) -> AttemptReport:
    settled = [*before, *[one for one in attempts if one.outcome is not Outcome.TEMPORARY]]
    pending = [one for one in attempts if one.outcome is Outcome.TEMPORARY]
    base = {
        "direction": Direction.OUTBOUND if action is Action.DELIVER else Direction.INBOUND,
        "attempt": 1,
        "occurred_at": NOW,
        "mail": Summary(received_at=NOW, reference="IT-1"),
        "raw": RawPointer(topic="mail.raw", partition=0, offset=0),
        "targets": [Target(address=one.target, settled=one) for one in settled]
        + [Target(address=one.target) for one in pending],
    }
    return AttemptReport(
        mail_id=MAIL_ID, recipient="r@ours.test", action=action, attempts=attempts, **{**base, **fields}
    )


def shown(event: MailEvent) -> tuple[int, str, str]:
    """Code, text and host of the row; the public change of status must say the same."""
    row = dict(event_rows(ConsumedRecord("mail.events", 0, 0, None, encode_mail_event(event, "test"), [])))["mails"]
    public = status_change(event)
    assert (public.smtp_code or 0, public.smtp_text or "", public.host or "") == (
        row["smtp_code"],
        row["smtp_text"],
        row["host"],
    )
    return row["smtp_code"], row["smtp_text"], row["host"]


@pytest.mark.parametrize(
    ("action", "attempt", "status"),
    [
        (Action.DELIVER, tried(Outcome.ACCEPTED), "delivered"),
        (Action.FORWARD, tried(Outcome.ACCEPTED), "forwarded"),
        (Action.DELIVER, tried(Outcome.PERMANENT), "delivery_failed"),
        (Action.FORWARD, tried(Outcome.PERMANENT), "delivery_failed"),
        (Action.DELIVER, tried(Outcome.PERMANENT, reason=Reason.UNROUTABLE, code=0), "failed"),
        (Action.DELIVER, tried(Outcome.PERMANENT, reason=Reason.EXPIRED), "delivery_failed"),
        (Action.HANDLE, tried(Outcome.ACCEPTED, "desk"), "processed"),
        (Action.HANDLE, tried(Outcome.SKIPPED, "desk"), "skipped"),
        (Action.HANDLE, tried(Outcome.PERMANENT, "desk"), "failed"),
    ],
)
def test_the_last_attempt_settles_the_mail(action: Action, attempt: Attempt, status: str) -> None:
    event = settle(report([attempt], action=action))
    assert event.status == status and event.terminal and event.attempts == [attempt]


def test_what_is_tried_again_is_deferred_and_says_when() -> None:
    later = NOW + timedelta(minutes=1)
    event = settle(report([tried(Outcome.TEMPORARY)], next_attempt_at=later))
    assert (event.status, event.terminal, event.next_attempt_at) == ("deferred", False, later)
    assert shown(event) == (451, "4.3.0 busy", "mx.x.test")


def test_of_two_targets_the_refused_one_decides_and_its_answer_is_shown() -> None:
    event = settle(
        report([tried(Outcome.PERMANENT, "a@x.test"), tried(Outcome.ACCEPTED, "b@y.test")], action=Action.FORWARD)
    )
    assert event.status == "delivery_failed"
    assert shown(event) == (550, "5.1.1 no such user", "mx.x.test")


def test_a_target_that_was_refused_earlier_is_not_forgotten_when_the_last_one_accepts() -> None:
    refused = tried(Outcome.PERMANENT, "a@x.test")
    event = settle(report([tried(Outcome.ACCEPTED, "b@y.test")], before=(refused,), action=Action.FORWARD, attempt=3))
    assert event.status == "delivery_failed" and shown(event)[0] == 550


def test_of_two_targets_the_one_that_waits_explains_the_deferral() -> None:
    attempts = [tried(Outcome.TEMPORARY, "a@x.test"), tried(Outcome.ACCEPTED, "b@y.test")]
    event = settle(report(attempts, action=Action.FORWARD, next_attempt_at=NOW))
    assert event.status == "deferred" and shown(event) == (451, "4.3.0 busy", "mx.x.test")


def test_a_handlers_key_becomes_the_reference_and_without_one_the_old_stays() -> None:
    assert (
        settle(report([tried(Outcome.ACCEPTED, "desk", reference="IT-42")], action=Action.HANDLE)).mail.reference
        == "IT-42"
    )
    assert settle(report([tried(Outcome.ACCEPTED, "desk")], action=Action.HANDLE)).mail.reference == "IT-1"
    details = [
        settle(report([tried(Outcome.ACCEPTED, "desk", reference=key)], action=Action.HANDLE)).detail
        for key in ("IT-42", "IT-1", "")
    ]
    assert details == ["became IT-42", "added to IT-1", "taken by desk"]  # IT-1 is what it came with
