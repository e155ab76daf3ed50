"""Mail of a channel that no handler gets, why, and that each reason can be turned off."""

from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.auth_results import AuthResults
from contracts.events import RawPointer
from contracts.raw_message import POLLED, Envelope, RawType
from contracts.settings import Settings
from contracts.statuses import Direction
from mail.bounce_address import BounceAddresses
from mail.parse_headers import split_message
from processors.decide_inbound import decide_inbound
from processors.decision import Consequences, ReadMail

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
USUAL = b"From: Anna <anna@good.test>\r\nMessage-ID: <1@good.test>\r\n"


def settings(**channel: Any) -> Settings:
    return Settings.model_validate(
        {
            "handlers": {"desk": {"webhook": "http://127.0.0.1:1/"}},
            "inbound": {"domains": {"ours.test": {}}, "routes": [{"match": {"to": "*@ours.test"}, "handle": "desk"}]},
            "channels": {
                "helpdesk": {
                    "address": "desk@ours.test",
                    "blocked_senders": ["*@spam.test", "eve@good.test"],
                    **channel,
                },
                "legacy": {"imap": "imaps://box@mail.test", "password_file": "p", "handle": "desk", **channel},
            },
        }
    )


def decide(
    head: bytes,
    body: bytes = b"Hello\r\n",
    to: str = "desk@ours.test",
    repeats_in: frozenset[str] = frozenset(),
    by: Settings | None = None,
    **fields: Any,
) -> Consequences:
    envelope = Envelope(
        mail_id="01a206f7-6b43-7745-9bab-87fa221dd751",
        type=RawType.ACCEPTED,
        direction=Direction.INBOUND,
        received_at=NOW,
        recipients=[to],
        **{"envelope_from": "anna@good.test", "size": 100, **fields},
    )
    raw = RawPointer(topic="mail.raw", partition=0, offset=0)
    mail = ReadMail(envelope, split_message(head + b"\r\n" + body), raw, repeats_in=repeats_in)
    return decide_inbound(mail, AuthResults(), by or settings(), BounceAddresses(b"k"), NOW, lambda one: ("", []))


def outcome(found: Consequences) -> tuple[str, str | None]:
    last = found.events[-1]
    return last.status.value, last.reason.value if last.reason else None


HANDED_OVER = ("received", None)
SKIPPED: list[tuple[str, dict[str, Any]]] = [
    ("auto_reply", {"head": USUAL + b"Subject: away\r\nAuto-Submitted: auto-replied (vacation)\r\n"}),
    ("auto_reply", {"head": USUAL + b"Subject: away\r\nAuto-Submitted: Auto-Replied; owner-email=x\r\n"}),
    ("auto_reply", {"head": USUAL + b"Subject: away\r\nX-Autoreply: yes\r\n"}),
    ("auto_reply", {"head": USUAL + b"Subject: away\r\nPrecedence: auto_reply\r\n"}),
    ("auto_reply", {"head": USUAL + b"Subject: x\r\nContent-Type: multipart/report; report-type=delivery-status\r\n"}),
    ("auto_reply", {"head": USUAL + b"Subject: bounced\r\n", "envelope_from": ""}),
    ("bulk", {"head": USUAL + b"Subject: news\r\nList-Id: <a.b.test>\r\n"}),
    ("bulk", {"head": USUAL + b"Subject: news\r\nPrecedence: Bulk\r\n"}),
    ("loop", {"head": b"From: desk@ours.test\r\nSubject: mine\r\n"}),
    ("blocked_sender", {"head": b"From: x@spam.test\r\nSubject: buy\r\n"}),
    ("blocked_sender", {"head": USUAL + b"Subject: buy\r\n", "envelope_from": "eve@good.test"}),
    ("empty", {"head": USUAL, "body": b" \r\n\r\n"}),
    ("empty", {"head": USUAL + b"Subject:  \r\nContent-Type: text/html\r\n", "body": b"<p><br>&nbsp;</p>\r\n"}),
    ("duplicate", {"head": USUAL + b"Subject: again\r\n", "repeats_in": frozenset({"helpdesk"})}),
]
REASONS = {"blocked_sender": "sender_blocked"}


@pytest.mark.parametrize(("word", "mail"), SKIPPED)
def test_what_becomes_no_request_is_skipped_with_its_reason(word: str, mail: dict[str, Any]) -> None:
    found = decide(**mail)
    assert outcome(found) == ("skipped", REASONS.get(word, word)) and not found.commands
    assert found.events[0].status == "received" and found.events[-1].terminal and found.events[-1].detail


@pytest.mark.parametrize(("word", "mail"), SKIPPED)
def test_each_reason_can_be_turned_off(word: str, mail: dict[str, Any]) -> None:
    others = [one for one in ("blocked_sender", "loop", "auto_reply", "bulk", "empty", "duplicate") if one != word]
    found = decide(**mail, by=settings(skip=others))
    assert outcome(found) == HANDED_OVER and len(found.commands) == 1


@pytest.mark.parametrize(
    "mail",
    [
        {"head": USUAL + b"Subject: printer on fire\r\n"},
        {"head": USUAL + b"Subject: disk full\r\nAuto-Submitted: auto-generated\r\n"},  # an alert is a request
        {"head": USUAL + b"Subject: x\r\nAuto-Submitted: no\r\n"},
        {"head": USUAL + b"Subject: only a subject\r\n", "body": b""},
        {"head": USUAL, "body": b"only a text\r\n"},
        {
            "head": USUAL + b'Content-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n',
            "body": b"AAAA\r\n",
        },
        {"head": USUAL + b"Subject: x\r\n", "repeats_in": frozenset({"another"})},
        {"head": USUAL + b"Subject: x\r\nList-Id: <a.b>\r\n", "to": "other@ours.test"},  # no channel's
    ],
)
def test_anything_else_reaches_the_handler(mail: dict[str, Any]) -> None:
    found = decide(**mail)
    assert outcome(found) == HANDED_OVER and len(found.commands) == 1


def polled(head: bytes, **fields: Any) -> Consequences:
    return decide(head, to="box@mail.test", envelope_from="", protocol=POLLED, channel="legacy", **fields)


def test_a_polled_mail_goes_to_the_handler_of_its_channel_and_is_judged_alike() -> None:
    found = polled(b"Delivered-To: box@mail.test\r\n" + USUAL + b"Subject: x\r\n")
    assert outcome(found) == HANDED_OVER and found.commands[0].targets[0].address == "desk"
    assert found.commands[0].mail.channel == "legacy" and found.reply == ""
    assert outcome(polled(USUAL + b"Subject: x\r\nList-Id: <a.b>\r\n")) == ("skipped", "bulk")


def test_a_polled_mail_that_nobody_takes_is_rejected_and_not_late() -> None:
    by = settings(handle=None)
    found = polled(USUAL + b"Subject: x\r\n", by=by)
    assert outcome(found) == ("rejected", "no_route")
    assert not found.events[-1].late and "its sender is not told" in found.events[-1].detail
