"""What is copied for a customer tells nothing of how we work; what is copied for an administrator finds the mail in their log."""

from typing import Any

import pytest

from console.copy_texts import administrator_text, customer_text
from contracts.statuses import INBOUND_STATUSES, OUTBOUND_STATUSES, BounceClass, Direction, Reason

INTERNAL = "HOST-OF-THEIRS"


def item(status: str, direction: str = "outbound", **values: Any) -> dict[str, Any]:
    return {
        "status": status, "direction": direction, "recipient": "anna@x.test", "from": "desk@ours.test", "subject": "Hi\n there",
        "envelope_from": "desk@ours.test", "message_id": "1@ours.test", "mail_id": "01a2", "reference": None, "reason": None,
        "bounce_class": None, "received_at": "2026-11-27T12:03:04.120Z", "updated_at": "2026-11-27T12:05:00.000Z",
        "next_attempt_at": None, "host": INTERNAL, "smtp_text": INTERNAL, "detail": INTERNAL, **values,
    }  # fmt: skip


@pytest.mark.parametrize("direction", Direction)
def test_a_customer_is_told_in_one_paragraph_and_nothing_internal(direction: Direction) -> None:
    for status in INBOUND_STATUSES if direction is Direction.INBOUND else OUTBOUND_STATUSES:
        for reason in (None, *Reason):
            for bounce in (None, *BounceClass):
                text = customer_text(item(status, direction, reason=reason, bounce_class=bounce))
                assert text.endswith(".") and "\n" not in text and "None" not in text and "_" not in text
                assert INTERNAL not in text and "“Hi there”" in text and "27 November 2026, 12:03 UTC" in text


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            item("delivered"),
            "the mail server of x.test accepted it on 27 November 2026, 12:05 UTC. If it is not in the inbox",
        ),
        (item("delivery_failed", bounce_class="mailbox_full"), "could not be delivered: the mailbox is full."),
        (item("failed", reason="quota_exceeded"), "the trouble is on our side"),
        (item("processed", "inbound", reference="IT-42"), "became IT-42."),
        (item("rejected", "inbound", reason="dmarc_reject"), "could not be verified that it came from you"),
        (item("rejected", "inbound", reason="unknown_recipient"), "no such address here"),
    ],
)
def test_it_says_what_a_customer_asks_for(what: dict[str, Any], said: str) -> None:
    assert said in customer_text(what)


def test_an_administrator_gets_what_finds_the_mail() -> None:
    attempt = {
        "number": 2, "started_at": "2026-11-27T12:04:00.000Z", "duration_ms": 31, "host": "mx.x.test", "ip": "192.0.2.1",
        "tls": "TLSv1.3", "command": "end-of-data", "code": 554, "text": "5.7.1 refused\n(id 4F2B9)",
    }  # fmt: skip
    text = administrator_text(
        item("delivery_failed", reason="provider_rejected", wire_sender="b+1@ours.test"), [attempt]
    )
    for line in (
        "Envelope sender: b+1@ours.test",
        "Message-ID: <1@ours.test>",
        "Server: mx.x.test [192.0.2.1]",
        "Answer: 554 5.7.1 refused (id 4F2B9)",
        "Last attempt: 2026-11-27T12:04:00.000Z, number 2, 31 ms",
        "Our id: 01a2",
    ):
        assert line in text.split("\n")
    assert "Last attempt" not in administrator_text(item("rejected"), [])
