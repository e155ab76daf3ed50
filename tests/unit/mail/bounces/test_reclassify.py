"""What the rules of today say of an answer that was classified by others."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from contracts.events import Attempt, Bounce, MailEvent, Outcome, Summary
from contracts.ids import new_mail_id
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status
from mail.bounces.classify import RULES, classify, reason_of
from mail.bounces.reclassify import reclassify

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def event(
    text: str, code: int = 550, enhanced: str = "", outcome: Outcome = Outcome.PERMANENT, **changes: object
) -> MailEvent:
    """A final event as the rules of today write it, then with these changes of its bounce."""
    attempt = Attempt(
        number=1,
        target="a@x.test",
        outcome=outcome,
        started_at=NOW,
        command="RCPT",
        code=code,
        enhanced_code=enhanced,
        text=text,
    )
    bounce = classify(attempt)
    old = replace(bounce, **changes)  # type: ignore[arg-type]
    return MailEvent(
        mail_id=new_mail_id(),
        recipient="a@x.test",
        direction=Direction.OUTBOUND,
        status=Status.DELIVERY_FAILED if outcome is Outcome.PERMANENT else Status.DEFERRED,
        terminal=outcome is Outcome.PERMANENT,
        occurred_at=NOW,
        attempt=1,
        reason=reason_of(old) if outcome is Outcome.PERMANENT else Reason.DESTINATION_UNAVAILABLE,
        mail=Summary(received_at=NOW),
        bounce=old,
        attempts=[attempt],
    )


UNKNOWN = {
    "bounce_type": BounceType.UNDETERMINED,
    "bounce_class": BounceClass.UNKNOWN,
    "rule": "none",
    "rules_version": "2025.1.1",
}


def test_an_answer_that_old_rules_did_not_know_gets_its_class_and_its_reason() -> None:
    one = event("5.1.1 User unknown", 550, "5.1.1", **UNKNOWN)
    after = reclassify(one)
    assert after is not None and after.bounce is not None
    assert (after.bounce.bounce_type, after.bounce.bounce_class) == (BounceType.HARD, BounceClass.INVALID_RECIPIENT)
    assert (after.bounce.rules_version, after.reason) == (RULES.version, Reason.INVALID_ADDRESS)
    assert replace(after, bounce=None, reason=None) == replace(one, bounce=None, reason=None), "nothing else changes"


def test_what_says_the_same_is_left_alone_whatever_rule_said_it() -> None:
    assert reclassify(event("5.1.1 User unknown", 550, "5.1.1", rule="an-older-name", rules_version="2025.1.1")) is None


@pytest.mark.parametrize("code", [450, 552])
def test_a_temporary_answer_stays_one_whatever_its_code(code: int) -> None:
    after = reclassify(event("mailbox is full", code, "", Outcome.TEMPORARY, **UNKNOWN))
    assert after is not None and after.bounce is not None
    assert (after.bounce.bounce_type, after.bounce.bounce_class) == (BounceType.SOFT, BounceClass.MAILBOX_FULL)
    assert after.reason is Reason.DESTINATION_UNAVAILABLE, "the reason was not the class'"


@pytest.mark.parametrize("rule", ["ours.expired", "ours.no-such-domain", "report.auto-reply"])
def test_what_no_reply_decided_is_left_alone(rule: str) -> None:
    assert reclassify(event("5.1.1 User unknown", 550, "5.1.1", **{**UNKNOWN, "rule": rule})) is None


def test_an_event_without_a_bounce_is_left_alone() -> None:
    assert reclassify(replace(event("x"), bounce=None)) is None


def test_of_a_report_the_evidence_alone_decides() -> None:
    one = replace(event("mailbox is full", 452, "4.2.2", **UNKNOWN), attempts=[], late=True)
    after = reclassify(one)
    assert after is not None and isinstance(after.bounce, Bounce) and after.bounce.bounce_type is BounceType.SOFT
