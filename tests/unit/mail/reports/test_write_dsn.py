"""What a sender is told of mail that could not be passed on, and who is never told."""

import email
import email.policy
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest

from mail.parse_headers import split_message
from mail.reports.write_dsn import ToldMail, ToldRecipient, may_be_told, write_dsn

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MAIL = ToldMail("anna@good.test", "anna@good.test", "Grüße", "id-1@good.test", NOW)
REFUSED = ToldRecipient("team@ours.test", "5.1.1", 550, "5.1.1 no such user", "mx.corp.test")


def report(mail: ToldMail = MAIL, *failed: ToldRecipient) -> bytes:
    return write_dsn(mail, list(failed) or [REFUSED], "mx.ours.test", "mailer-daemon@ours.test", "x@ours.test", NOW)


def test_a_mail_program_finds_the_recipient_the_status_and_the_servers_words() -> None:
    parsed = email.message_from_bytes(report(), policy=email.policy.default)
    assert parsed.get_content_type() == "multipart/report" and parsed.get_param("report-type") == "delivery-status"
    assert (parsed["To"], parsed["Auto-Submitted"], parsed["In-Reply-To"]) == (
        "anna@good.test",
        "auto-replied",
        "<id-1@good.test>",
    )
    text, status, headers = parsed.iter_parts()
    assert "mx.corp.test answered: 550 5.1.1 no such user" in text.get_content() and "Grüße" in text.get_content()
    message, recipient = status.get_payload()
    assert message["Reporting-MTA"] == "dns; mx.ours.test"
    assert recipient["Final-Recipient"] == "rfc822; team@ours.test" and recipient["Action"] == "failed"
    assert (recipient["Status"], recipient["Diagnostic-Code"]) == ("5.1.1", "smtp; 550 5.1.1 no such user")
    assert "Message-ID: <id-1@good.test>" in headers.get_content()


def test_the_same_report_is_the_same_octets() -> None:
    assert report() == report()


def test_strangers_words_begin_no_header_and_end_no_part() -> None:
    evil = ToldMail("a@b.test", "x\r\nBcc: y@z.test", "s\r\n\r\n--=x=--", "id>\r\nBcc: q@z.test", NOW)
    answer = ToldRecipient(
        "t@ours.test\r\nX: 1", "", 550, "no\r\n\r\nStatus: 2.0.0\x00\udcff" + "y" * 5000, "mx\nEvil: 1"
    )
    raw = report(evil, answer)
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert [part.get_content_type() for part in parsed.iter_parts()] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    lines = raw.split(b"\r\n")
    assert not any(line.lower().startswith((b"bcc:", b"x:", b"evil:", b"status: 2")) for line in lines)
    assert all(len(line) <= 998 for line in lines) and b"\x00" not in raw


@pytest.mark.parametrize(
    ("head", "sender", "told"),
    [
        (b"From: a@b.test\r\n", "a@b.test", True),
        (b"From: a@b.test\r\nAuto-Submitted: no\r\n", "a@b.test", True),
        (b"From: a@b.test\r\n", "", False),
        (b"From: a@b.test\r\nAuto-Submitted: auto-replied (vacation)\r\n", "a@b.test", False),
        (b"From: a@b.test\r\nList-Id: <news.b.test>\r\n", "a@b.test", False),
        (b"From: a@b.test\r\nList-Unsubscribe: <mailto:x@b.test>\r\n", "a@b.test", False),
        (b"From: a@b.test\r\nPrecedence: BULK\r\n", "a@b.test", False),
        (b"From: a@b.test\r\nPrecedence: first-class\r\n", "a@b.test", True),
    ],
)
def test_a_null_sender_an_automatic_answer_and_a_list_are_never_told(head: bytes, sender: str, told: bool) -> None:
    assert may_be_told(split_message(head + b"\r\nx\r\n"), sender) is told


TRICK = "=?utf-8?q?=0D=0AAction:_delivered=0D=0A=0D=0Apay_me?="


@pytest.mark.parametrize(
    "where",
    ["envelope_from", "message_id", "subject", "from_address", "envelope_id", "text", "host", "original", "address"],
)
def test_an_encoded_word_of_others_begins_no_header(where: str) -> None:
    """`email` decodes encoded words where it folds, with the line ends in them."""
    changes = {where: f"{TRICK}@good.test" if where == "envelope_from" else f"rfc822;{TRICK}"}
    mail, told = MAIL, REFUSED
    if where in {one.name for one in fields(ToldMail)}:
        mail = replace(MAIL, **changes)
    else:
        told = replace(REFUSED, **changes)
    octets = report(mail, told)
    assert b"\r\nAction: delivered" not in octets and b"\r\npay me" not in octets
