"""A change of status is found by the line that finds its row."""

from typing import Any

import pytest

from console.match_change import matches, untold
from console.parse_filters import parse_filters
from contracts import clock

CHANGE: dict[str, Any] = {
    "mail_id": "019a0000-0000-7000-8000-000000000000",
    "recipient": "Anna.K@acme.example",
    "direction": "outbound",
    "status": "delivery_failed",
    "received_at": clock.rfc3339(clock.now()),
    "attempt": 3,
    "reason": None,
    "from": "desk@ours.example",
    "subject": "Your Request was created",
    "message_id": "a1@ours.example",
    "reference": "IT-42",
    "channel": "",
    "template": "Request created",
    "size": 2048,
    "bounce_class": "mailbox_full",
    "smtp_code": 552,
    "smtp_text": "5.2.2 Mailbox FULL",
    "host": None,
}


def found(line: str) -> bool:
    return matches(parse_filters([("q", line)], clock.now()), CHANGE)


@pytest.mark.parametrize(
    "line",
    [
        "status:delivery_failed to:*@acme.example",
        "status:failed,delivery_failed",
        "to:anna.k@acme.example",
        "acme.example",
        "domain:ours.example",
        "anna.k",
        "IT-42",
        "it-42",
        'subject:"request was"',
        "mailbox full",
        "552",
        "attempts:>=3 size:<1MiB",
        "-status:delivered",
        "status:failed OR reference:IT-42",
        "since:1h",
        "<a1@ours.example>",
    ],
)
def test_is_found_by(line: str) -> None:
    assert found(line)


@pytest.mark.parametrize(
    "line",
    [
        "status:delivered",
        "to:*@other.example",
        "to:k@acme.example",
        "-to:*@acme.example",
        "attempts:>3",
        "until:1h",
        "subject:invoice",
        "NOT (status:delivery_failed)",
    ],
)
def test_is_not_found_by(line: str) -> None:
    assert not found(line)


def test_a_filter_that_no_change_can_answer_is_named_and_a_word_asks_for_none() -> None:
    terms = parse_filters([("q", "provider:google.com anna -peer_ip:192.0.2.1")], clock.now()).terms
    assert untold(terms) == {"provider", "peer_ip"}
