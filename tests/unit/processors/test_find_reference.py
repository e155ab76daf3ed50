"""Which request a mail answers."""

import pytest

from contracts import clock
from contracts.events import Attempt, MailEvent, Outcome, Summary
from contracts.ids import new_mail_id
from contracts.records import ConsumedRecord
from contracts.statuses import Direction, Status
from mail.parse_headers import split_message
from processors.decision import Answered
from processors.find_reference import MOST_IDS, MOST_KEYS, ThreadKeys, answered_ids, named_keys, thread_records


def event(message_id: str, reference: str, status: Status = Status.PROCESSED, handler: str = "") -> MailEvent:
    given = Attempt(number=1, target=handler, outcome=Outcome.ACCEPTED, started_at=clock.now(), reference=reference)
    return MailEvent(
        mail_id=new_mail_id(),
        recipient="desk@ours.test",
        direction=Direction.INBOUND,
        status=status,
        terminal=True,
        occurred_at=clock.now(),
        mail=Summary(received_at=clock.now(), message_id=message_id, reference=reference),
        attempts=[given] if handler else [],
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


@pytest.mark.parametrize(
    ("subject", "keys"),
    [
        ("Re: [IT-42] Printer", ["IT-42"]),
        ("AW: it-42: Printer", ["it-42"]),
        ("(IT-42), IT-43.", ["IT-42", "IT-43"]),
        ("[#4711] and #12", ["4711", "12"]),
        ("[Case:7/A]", ["Case:7/A"]),
        ("Bestellung ÜB-7", ["ÜB-7"]),
        ("Rechnung 4711 vom 2026-11-03, COVID-19a, X-IT-42-7, abc#5", []),
        ("", []),
    ],
)
def test_what_may_be_a_key_in_a_subject(subject: str, keys: list[str]) -> None:
    assert named_keys(subject) == keys
    assert len(named_keys("[a1] " * 50 + " ".join(f"IT-{number}" for number in range(100)))) == MOST_KEYS


def test_a_key_in_a_subject_counts_for_the_handler_that_gave_it_and_for_no_other() -> None:
    keys = known(
        event("a@x", "IT-1", handler="desk"),
        event("", "IT-2", handler="desk"),  # its mail had no Message-ID
        event("b@x", "HR-1", handler="people"),
        event("c@x", "IT-1", handler="people"),  # both have one of this name
        event("d@ours.test", "IT-9", Status.SENT),  # an application's, no handler's
        event("e@x", "IT-8"),  # a handler took it, and gave it no key itself
    )
    assert keys.named("Re: [it-1] hello") == {"desk": "IT-1", "people": "IT-1"}
    assert keys.named("IT-2 and HR-1") == {"desk": "IT-2", "people": "HR-1"}
    assert keys.named("HR-7, IT-2, IT-1")["desk"] == "IT-2"  # the first that is known
    assert keys.named("IT-9 IT-8 IT-77") == {}
    assert keys.find(split_message(b"In-Reply-To: <d@ours.test>\r\n\r\n")) == "IT-9"


def test_a_reply_says_more_than_a_subject_and_what_was_decided_stays() -> None:
    found = Answered("IT-1", {"desk": "IT-2"})
    assert (found.of("a@x", "desk"), found.of("a@x", "")) == ("IT-1", "IT-1")
    found = Answered("", {"desk": "IT-2"})
    assert (found.of("a@x", "desk"), found.of("a@x", "people"), found.of("a@x", "")) == ("IT-2", "", "")
    found = Answered("IT-3", {"desk": "IT-3"}, {"a@x": "IT-1"})
    assert (found.of("a@x", "desk"), found.of("b@x", "desk")) == ("IT-1", "")
