"""A redelivery is a round of its own: begun once, with all of its time, under a number that everything of it carries."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from contracts.events import Action, Dispatch, RawPointer, Target
from contracts.ids import new_mail_id
from contracts.notices import Notices
from contracts.raw_message import Blob, Envelope, RawType
from contracts.records import ConsumedRecord
from contracts.rounds import Round
from contracts.statuses import Direction, Status
from mail.parse_headers import split_message
from processors.begin_round import in_round
from processors.decision import Consequences, ReadMail
from processors.know_rounds import KnownRounds
from tests.fakes.mail_events import event

ASKED = datetime(2026, 11, 20, 12, tzinfo=UTC)
MAIL_ID = new_mail_id()


def envelope(*numbers: int) -> Envelope:
    """A redelivery to a@x.test, then b@, c@ ..., each with the number of its round."""
    again = {
        f"{chr(97 + place)}@x.test": Round(number=number, attempts=4, at=ASKED, by="anna")
        for place, number in enumerate(numbers)
    }
    return Envelope(
        mail_id=MAIL_ID,
        type=RawType.AGAIN,
        direction=Direction.OUTBOUND,
        received_at=ASKED - timedelta(days=9),
        envelope_from="app@ours.test",
        recipients=list(again),
        again=again,
    )


def source(offset: int) -> ConsumedRecord:
    return ConsumedRecord("mail.raw", 0, offset, b"", b"", [])


def test_it_begins_when_it_was_asked_for_and_has_all_of_its_time() -> None:
    sent = event(Status.SENT, MAIL_ID)
    command = Dispatch(
        mail_id=MAIL_ID,
        recipient="a@x.test",
        direction=Direction.OUTBOUND,
        action=Action.DELIVER,
        expires_at=ASKED - timedelta(days=6),
        raw=RawPointer(topic="mail.raw", partition=0, offset=9),
        mail=sent.mail,
        targets=[Target(address="a@x.test")],
        notify=True,
        notices=Notices(failure=True),
    )
    found = in_round(Consequences([sent], [command]), envelope(2), timedelta(days=3))
    (begun,), (again,) = found.events, found.commands
    assert (begun.round, begun.occurred_at, begun.attempt, begun.detail) == (2, ASKED, 0, "redelivered by anna")
    assert (again.round, again.attempt, again.expires_at) == (2, 5, ASKED + timedelta(days=3))
    assert not again.notify and again.notices is None  # who submitted it was told when it failed


def test_a_forward_goes_to_nobody_twice_whatever_its_route_is_today() -> None:
    received = event(Status.RECEIVED, MAIL_ID)

    def command(action: Action, *targets: str) -> Dispatch:
        return Dispatch(
            mail_id=MAIL_ID,
            recipient="a@x.test",
            direction=received.direction,
            action=action,
            expires_at=ASKED,
            raw=RawPointer(topic="mail.raw", partition=0, offset=9),
            mail=received.mail,
            targets=[Target(address=one) for one in targets],
        )

    took = {"a@x.test": Round(number=1, attempts=2, at=ASKED, by="anna", done=["one@far.test"])}
    asked = replace(envelope(1), again=took)

    def again(one: Dispatch) -> tuple[list[list[str]], list[Status]]:
        found = in_round(Consequences([received], [one]), asked, timedelta(days=3))
        assert {event.round for event in found.events} == {1}
        return [[target.address for target in left.targets] for left in found.commands], [
            e.status for e in found.events
        ]

    assert again(command(Action.FORWARD, "one@far.test", "two@far.test")) == ([["two@far.test"]], [Status.RECEIVED])
    assert again(command(Action.FORWARD, "one@far.test")) == ([], [Status.RECEIVED, Status.FORWARDED])
    # What bounced after it was accepted goes where it went.
    assert again(command(Action.DELIVER, "one@far.test")) == ([["one@far.test"]], [Status.RECEIVED])


def test_a_decision_against_it_is_one_of_the_round() -> None:
    found = in_round(Consequences([event(Status.REJECTED, MAIL_ID)]), envelope(1), timedelta(days=3))
    assert [(one.status, one.round) for one in found.events] == [(Status.REJECTED, 1)]


def test_a_round_that_is_asked_for_twice_is_begun_once() -> None:
    known = KnownRounds()
    assert known.only_new(source(5), envelope(1, 1)).recipients == ["a@x.test", "b@x.test"]
    assert known.only_new(source(5), envelope(1, 1)).recipients == [
        "a@x.test",
        "b@x.test",
    ]  # the same record, read again
    assert known.only_new(source(6), envelope(1, 2)).recipients == ["b@x.test"]


def test_a_round_that_was_begun_before_a_restart_is_known() -> None:
    known = KnownRounds()
    pointer = RawPointer(topic="mail.raw", partition=0, offset=5)
    known.learn([replace(event(Status.SENT, MAIL_ID), round=1, raw=pointer)])
    assert known.only_new(source(6), envelope(1)).recipients == []
    assert known.only_new(source(5), envelope(1)).recipients == ["a@x.test"]


def test_a_later_round_is_not_followed_by_an_earlier_one() -> None:
    """A dead letter of round 1 that is replayed after round 2 was asked for."""
    known = KnownRounds()
    assert known.only_new(source(5), envelope(2)).recipients == ["a@x.test"]
    assert known.only_new(source(6), envelope(1)).recipients == []


def test_what_a_record_could_not_do_another_one_may() -> None:
    known = KnownRounds()
    known.only_new(source(5), envelope(1))
    assert known.only_new(source(6), envelope(1)).recipients == []
    known.give_up(source(6), envelope(1))  # it is not its own
    assert known.only_new(source(7), envelope(1)).recipients == []
    known.give_up(source(5), envelope(1))  # parked: written once more
    assert known.only_new(source(8), envelope(1)).recipients == ["a@x.test"]


@pytest.mark.parametrize(
    ("header", "needs"),
    [(b"Subject: hi", False), ("Subject: gr\u00fc\u00df".encode(), True), (b"Subject: gr\xfc\xdf", False)],
)
def test_whether_it_needs_smtputf8_its_header_says_wherever_the_message_is_kept(header: bytes, needs: bool) -> None:
    asked = replace(envelope(1), smtputf8=True, blob=Blob(url="file:///x", sha256="0"))
    message = split_message(header + b"\r\n\r\nhello\r\n")
    assert ReadMail(asked, message, RawPointer(topic="mail.raw", partition=0, offset=5)).needs_smtputf8 is needs
