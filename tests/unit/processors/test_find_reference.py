"""Which request a mail answers."""

import pytest

from contracts import clock
from contracts.events import MailEvent, Summary
from contracts.ids import new_mail_id
from contracts.records import ConsumedRecord
from contracts.statuses import Direction, Status
from mail.parse_headers import split_message
from processors.find_reference import MOST_IDS, ThreadKeys, answered_ids, thread_records


def event(message_id: str, reference: str, status: Status = Status.PROCESSED) -> MailEvent:
    return MailEvent(
        mail_id=new_mail_id(),
        recipient="desk@ours.test",
        direction=Direction.INBOUND,
        status=status,
        terminal=True,
        occurred_at=clock.now(),
        mail=Summary(received_at=clock.now(), message_id=message_id, reference=reference),
    )


def known(*events: MailEvent, most: int = 100) -> ThreadKeys:
    keys = ThreadKeys(most)
    for offset, record in enumerate(thread_records(list(events))):
        keys.take(ConsumedRecord(record.topic, 0, offset, record.key.encode(), record.value, record.headers))
    return keys


@pytest.mark.parametrize(
    ("head", "reference"),
    [
        (b"In-Reply-To: <one@x>\r\n", "IT-1"),
        (b"References: <zero@x> <one@x>\r\n <two@x> <unknown@x>\r\n", "IT-2"),  # the nearest that is known
        (b"In-Reply-To: <one@x>\r\nReferences: <two@x>\r\n", "IT-1"),
        (b"In-Reply-To: Your mail of Tuesday <sent@ours.test>\r\n", "IT-3"),
        (b"In-Reply-To: <unknown@x>\r\n", ""),
        (b"In-Reply-To: one@x\r\n", ""),
        (b"Subject: Re: IT-1\r\n", ""),
    ],
)
def test_the_nearest_known_mail_says_which_request_it_is(head: bytes, reference: str) -> None:
    keys = known(event("one@x", "IT-1"), event("two@x", "IT-2"), event("sent@ours.test", "IT-3", Status.SENT))
    assert keys.find(split_message(head + b"\r\nx")) == reference


def test_mail_without_a_key_or_that_became_nothing_is_not_noted() -> None:
    assert thread_records([event("a@x", ""), event("", "IT-1"), event("b@x", "IT-1", Status.FAILED)]) == []


def test_what_is_known_and_what_is_looked_for_is_bounded() -> None:
    keys = known(*(event(f"{number}@x", f"IT-{number}") for number in range(20)), most=10)
    assert keys.find(split_message(b"In-Reply-To: <5@x>\r\n\r\n")) == ""
    assert keys.find(split_message(b"In-Reply-To: <15@x>\r\n\r\n")) == "IT-15"
    many = b"References: " + b" ".join(b"<%d@x>" % number for number in range(3000)) + b"\r\n\r\n"
    assert (
        answered_ids(split_message(many))[:2] == ["2999@x", "2998@x"]
        and len(answered_ids(split_message(many))) == MOST_IDS
    )


def test_a_record_that_cannot_be_read_says_nothing() -> None:
    for value in (None, b"", b"{}", b"\xff"):
        ThreadKeys().take(ConsumedRecord("mail.threads", 0, 0, b"x", value, []))
