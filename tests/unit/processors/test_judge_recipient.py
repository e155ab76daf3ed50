"""Who gets a mail of ours, and why the others do not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.ids import new_mail_id
from contracts.preferences import PreferenceChange, preference_of
from contracts.raw_message import OWN_REPORT, Envelope, RawType
from contracts.settings import Outbound
from contracts.shared_state import QuotaLimit
from contracts.statuses import Direction
from contracts.suppressions import SuppressionChange, SuppressionReason, suppression_of
from processors.count_quotas import Grant
from processors.decide_outbound import beyond_quota
from processors.judge_recipient import Known, judge_mail, judge_recipient

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
OURS = {"envelope_from": "", "protocol": OWN_REPORT}  # a report that we write
OUTBOUND = Outbound.model_validate({"domains": {"ours.test": {}}, "max_size": "1MiB"})


def envelope(**fields: Any) -> Envelope:
    given: dict[str, Any] = {"envelope_from": "desk@ours.test", "recipients": ["a@x.test"], "size": 100, **fields}
    return Envelope(
        mail_id=new_mail_id(), type=RawType.SUBMITTED, direction=Direction.OUTBOUND, received_at=NOW, **given
    )


def suppressed(**fields: Any) -> Known:
    change = SuppressionChange(
        action="added", at=NOW, by="anna", reason=SuppressionReason.COMPLAINT, note="spam", mail_id="m1", **fields
    )
    return Known(suppression=suppression_of("a@x.test", [change]))


def wishes(private: bool = False, *streams: str) -> Known:
    change = PreferenceChange(action="set", at=NOW, by="anna", private=private, streams=list(streams))
    return Known(preference=preference_of("a@x.test", [change]))


@pytest.mark.parametrize(
    ("known", "fields", "status", "reason"),
    [
        (Known(), {}, None, None),
        (suppressed(), {}, "rejected", "suppressed"),
        (suppressed(expires_at=NOW), {}, None, None),
        (wishes(True), {}, "failed", "private_address"),
        (wishes(False, "news"), {"stream": "news"}, "failed", "unsubscribed"),
        (wishes(False, "news"), {"stream": "bills"}, None, None),
        (wishes(False, "news"), {}, None, None),
        (wishes(False, "*"), {}, "failed", "unsubscribed"),
        (wishes(True, "*"), OURS, None, None),  # a report of ours is for whom it is for
        (wishes(True), {"envelope_from": "", "protocol": "ESMTPSA"}, "failed", "private_address"),  # an application's
    ],
)
def test_what_is_known_of_an_address(
    known: Known, fields: dict[str, Any], status: str | None, reason: str | None
) -> None:
    decision = judge_recipient("a@x.test", envelope(**fields), known, NOW)
    assert (decision and decision.status, decision and decision.reason) == (status, reason)


def test_the_refusal_names_its_evidence() -> None:
    decision = judge_recipient("a@x.test", envelope(), suppressed(expires_at=NOW + timedelta(days=1)), NOW)
    assert decision is not None
    for word in ("complaint", "mail m1", "by anna", "spam", "until 2026-11-28T12:00:00.000Z"):
        assert word in decision.detail


@pytest.mark.parametrize(
    "address", ["not an address", "a@", "@x.test", "a@x..test", "a b@x.test", "a@x.test, b@x.test"]
)
def test_what_is_no_address_fails_for_that_recipient(address: str) -> None:
    decision = judge_recipient(address, envelope(), Known(), NOW)
    assert decision is not None and decision.reason == "invalid_address"


@pytest.mark.parametrize(
    ("domain", "fields", "fault", "reason"),
    [
        ("ours.test", {}, "", None),
        ("bank.test", {}, "", "configuration_error"),
        ("ours.test", {"size": (1 << 20) + 1}, "", "message_too_large"),
        ("ours.test", {}, "our key s1 is not published", "authentication_error"),
        ("mx.ours.test", {**OURS, "size": 2 << 20}, "x", None),
        ("ours.test", {"envelope_from": "", "protocol": "HTTP", "size": 2 << 20}, "", "message_too_large"),
        # Neither SPF nor DKIM speaks for it.
        ("ours.test", {"envelope_from": "desk@bank.test"}, "", "authentication_error"),
        ("ours.test", {"envelope_from": "desk@news.ours.test"}, "", None),
    ],
)
def test_what_keeps_a_mail_from_everybody(domain: str, fields: dict[str, Any], fault: str, reason: str | None) -> None:
    decision = judge_mail(envelope(**fields), domain, OUTBOUND, fault)
    assert (decision and decision.reason) == reason


def test_the_last_recipients_are_beyond_the_quota_and_hear_when_it_renews() -> None:
    grant = Grant(1, NOW + timedelta(hours=1), QuotaLimit(per="hour", limit=5))
    beyond = beyond_quota(grant, ["a@x.test", "b@x.test", "c@x.test"], "ours.test")
    assert list(beyond) == ["b@x.test", "c@x.test"]
    assert "renews at 2026-11-27T13:00:00.000Z" in beyond["b@x.test"].detail
    assert beyond_quota(None, ["a@x.test"], "ours.test") == {}


@pytest.mark.parametrize(
    ("reached", "beyond"), [(0, ["c@x.test"]), (1, ["b@x.test", "c@x.test"]), (9, ["a@x.test", "b@x.test", "c@x.test"])]
)
def test_whom_a_mail_reached_before_a_kill_counts_in_its_quota(reached: int, beyond: list[str]) -> None:
    grant = Grant(2, NOW + timedelta(hours=1), QuotaLimit(per="hour", limit=5))
    assert list(beyond_quota(grant, ["a@x.test", "b@x.test", "c@x.test"], "ours.test", reached)) == beyond
