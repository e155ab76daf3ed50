"""What is said of a polled mail beside its octets."""

import pytest

from contracts.clock import to_ms
from contracts.ids import new_mail_id, received_ms
from contracts.raw_message import RawType, Refusal
from contracts.setting_types import split_mailbox
from contracts.statuses import Reason
from ingest.mailboxes.make_envelope import Envelopes, digest_of, name_mailbox, return_path
from mail.parse_headers import split_message

RECEIVED = b"Received: from a by b; Tue, 03 Nov 2026 12:22:54 +0000\r\n"


@pytest.mark.parametrize(
    ("head", "sender"),
    [
        (b"Return-Path: <Anna@Good.TEST>\r\n" + RECEIVED, "Anna@good.test"),
        (b"Delivered-To: x@y.z\r\nReturn-Path: <a@b.test>\r\n" + RECEIVED, "a@b.test"),
        (RECEIVED + b"Return-Path: <forged@b.test>\r\n", ""),  # anybody may have written that
        (b"Return-Path: <>\r\n" + RECEIVED, ""),
        (b"Return-Path: two@a.test three@b.test\r\n", ""),
        (b"Return-Path: <" + b"a" * 5000 + b"@b.test>\r\n", ""),
        (b"Subject: nothing\r\n", ""),
    ],
)
def test_the_envelope_sender_is_what_the_delivering_server_wrote_on_top(head: bytes, sender: str) -> None:
    assert return_path(split_message(head + b"\r\nbody\r\n")) == sender


def test_a_repetition_says_the_same() -> None:
    envelopes = Envelopes("legacy", "Desk@Example.NET", "mx.ours.test")
    message, mail_id = split_message(b"Subject: x\r\n\r\n"), new_mail_id()
    first = envelopes.accepted(mail_id, message, 14, repeated=False)
    again = envelopes.accepted(mail_id, message, 14, repeated=True)
    assert first.received_at == again.received_at and to_ms(first.received_at) == received_ms(mail_id)
    assert (first.channel, first.recipients, first.polled, again.repeated) == (
        "legacy",
        ["Desk@example.net"],
        True,
        True,
    )
    refused = envelopes.refused(mail_id, 9, Refusal(reply="no", reason=Reason.MESSAGE_TOO_LARGE), repeated=False)
    assert refused.type is RawType.REFUSED and refused.size == 9


def test_a_mail_is_known_by_its_octets() -> None:
    one = b"Message-ID: <1@x>\r\n\r\nhello\r\n"
    assert digest_of(split_message(one), one) == digest_of(split_message(one), one)
    other = one.replace(b"hello", b"hallo")
    assert digest_of(split_message(one), one) != digest_of(split_message(other), other)


def test_a_mailbox_is_named_by_server_user_and_folder() -> None:
    names = {
        name_mailbox(split_mailbox(url))
        for url in (
            "imaps://a@h",
            "imaps://b@h",
            "imaps://a@i",
            "imaps://a@h/Other",
            "imaps://a@h:994",
            "imaps://a@H/INBOX",
        )
    }
    assert len(names) == 5
