"""The app `inbound`: what it knows of one record when another one comes."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts import clock, topics
from contracts.auth_results import AuthResults
from contracts.errors import Unavailable
from contracts.events import MailEvent, RawPointer, Summary
from contracts.ids import new_mail_id
from contracts.raw_message import POLLED, Envelope, RawType, encode_headers
from contracts.records import ConsumedRecord
from contracts.rounds import Round
from contracts.settings import Settings
from contracts.statuses import Direction, Reason, Status
from processors import inbound as inbound_module
from processors.inbound import UNDECIDED, Inbound, OpenChecks
from processors.recall_decisions import Decisions, Tail
from runtime.blobs import BlobStore


def word_of_the_receiver(age: timedelta = timedelta(0)) -> ConsumedRecord:
    mail_id = new_mail_id()
    envelope = Envelope(
        mail_id=mail_id,
        type=RawType.ANSWERED,
        direction=Direction.INBOUND,
        received_at=clock.now() - age,
        envelope_from="",
        recipients=[],
        answered=f"250 2.0.0 Accepted as {mail_id}",
    )
    return ConsumedRecord("mail.raw", 0, 7, mail_id.encode(), b"", encode_headers(envelope, "test"))


def open_envelope(**fields: Any) -> Envelope:
    return Envelope(
        mail_id=new_mail_id(),
        type=RawType.ACCEPTED,
        direction=Direction.INBOUND,
        received_at=clock.now(),
        envelope_from="",
        recipients=["a@ours.test"],
        **fields,
    )


def refusal(reason: Reason) -> MailEvent:
    return MailEvent(
        mail_id=new_mail_id(),
        recipient="a@ours.test",
        direction=Direction.INBOUND,
        status=Status.REJECTED,
        terminal=True,
        occurred_at=clock.now(),
        reason=reason,
        mail=Summary(received_at=clock.now()),
    )


@pytest.fixture
def inbound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inbound:
    async def nothing(*_: object) -> list[MailEvent]:
        return []

    monkeypatch.setattr(Decisions, "look_up", nothing)
    return Inbound(Settings.model_validate({"data_dir": str(tmp_path), "kafka": {"bootstrap": "127.0.0.1:1"}}))


async def test_the_receivers_word_waits_for_the_decision_that_it_is_about(inbound: Inbound) -> None:
    with pytest.raises(Unavailable):  # its mail waits for the blob store: a refusal is still to come, and will be late
        await inbound.handle(word_of_the_receiver())


@pytest.mark.parametrize("fields", [{"verdict_partition": None}, {"verdict_partition": 1, "answered": "250 2.0.0 x"}])
def test_what_dns_leaves_open_is_tried_again_where_nobody_can_be_told(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_checks = OpenChecks(most=2)
    events = [refusal(Reason.AUTH_TEMPERROR)]
    heard = open_envelope(verdict_partition=1)
    open_checks.wait(heard, events)  # the sender hears 451
    unheard = open_envelope(**fields)
    for _ in range(3):
        with pytest.raises(Unavailable):
            open_checks.wait(unheard, events)
    open_checks.wait(unheard, [refusal(Reason.DMARC_REJECT)])  # DNS has answered
    with pytest.raises(Unavailable):
        open_checks.wait(unheard, events)
    monkeypatch.setattr(inbound_module, "PATIENT", 0)
    open_checks.wait(unheard, events)  # not for ever


def test_no_more_than_some_wait_for_dns() -> None:
    open_checks = OpenChecks(most=2)
    for _ in range(2):
        with pytest.raises(Unavailable):
            open_checks.wait(open_envelope(verdict_partition=None), [refusal(Reason.AUTH_TEMPERROR)])
    open_checks.wait(open_envelope(verdict_partition=None), [refusal(Reason.AUTH_TEMPERROR)])


async def test_the_receivers_word_does_not_wait_for_ever(inbound: Inbound) -> None:
    assert not any(await inbound.handle(word_of_the_receiver(UNDECIDED)))


def polled(mail_id: str, offset: int, *, repeated: bool) -> ConsumedRecord:
    envelope = Envelope(
        mail_id=mail_id,
        type=RawType.ACCEPTED,
        direction=Direction.INBOUND,
        received_at=clock.now(),
        envelope_from="",
        recipients=["a@ours.test"],
        size=20,
        protocol=POLLED,
        channel="legacy",
        repeated=repeated,
    )
    message = b"From: a@b.test\r\n\r\nx\r\n"
    return ConsumedRecord("mail.raw", 0, offset, mail_id.encode(), message, encode_headers(envelope, "test"))


async def test_a_repetition_of_what_was_decided_is_left_out(inbound: Inbound, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decisions, "_read_tail", lambda *_: Tail())
    one, other, third = new_mail_id(), new_mail_id(), new_mail_id()
    assert await inbound.handle(polled(one, 7, repeated=False))
    assert await inbound.handle(polled(one, 9, repeated=True)) == []  # this process has decided it
    assert await inbound.handle(polled(other, 11, repeated=True))  # its first record never got here

    async def known(*_: object) -> list[MailEvent]:
        return [
            msgspec.structs.replace(refusal(Reason.NO_ROUTE), raw=RawPointer(topic="mail.raw", partition=0, offset=13))
        ]

    monkeypatch.setattr(Decisions, "look_up", known)
    assert await inbound.handle(polled(third, 15, repeated=True)) == []  # another one has
    assert await inbound.handle(polled(third, 13, repeated=True))  # that was this very record, before a restart


def redelivery(mail_id: str, offset: int, *, later: timedelta = timedelta(0), number: int = 1) -> ConsumedRecord:
    now = clock.now()
    again = {"a@ours.test": Round(number=number, attempts=1, at=now, by="anna")}
    envelope = msgspec.structs.replace(open_envelope(size=20), mail_id=mail_id, type=RawType.AGAIN, again=again)
    message = b"From: a@b.test\r\n\r\nx\r\n"
    return ConsumedRecord(
        "mail.raw", 0, offset, b"", message, encode_headers(envelope, "test"), clock.to_ms(now + later)
    )


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> list[MailEvent]:
    """What `mail.events` says of rounds that were begun long ago; no record is read again."""
    found: list[MailEvent] = []

    async def since(*_: object) -> list[MailEvent]:
        return found

    async def first(*_: object, elsewhere: bool) -> list[MailEvent]:
        assert elsewhere
        return [msgspec.structs.replace(refusal(Reason.NO_ROUTE), auth=AuthResults())]

    monkeypatch.setattr(Decisions, "look_up", first)
    monkeypatch.setattr(Decisions, "_read_tail", lambda *_: Tail())
    monkeypatch.setattr(Decisions, "rounds_since", since)
    return found


async def test_a_redelivery_that_is_parked_is_begun_when_it_comes_again(
    inbound: Inbound, began: list[MailEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> bytes:
        raise Unavailable("the blob store", "it is away")

    mail_id = new_mail_id()
    with monkeypatch.context() as patched:
        patched.setattr(BlobStore, "message", away)
        with pytest.raises(Unavailable):
            await inbound.handle(redelivery(mail_id, 7))
    assert await inbound.handle(redelivery(mail_id, 9))  # what was parked is written again
    assert await inbound.handle(redelivery(mail_id, 10)) == []
    assert await inbound.handle(redelivery(mail_id, 9))


async def test_a_redelivery_that_was_put_aside_can_be_replayed_until_another_one_was_asked_for(
    inbound: Inbound, began: list[MailEvent]
) -> None:
    mail_id = new_mail_id()
    assert len(inbound.tell_failed(redelivery(mail_id, 7), "crashed")) > 0
    hours = timedelta(hours=3)
    assert await inbound.handle(redelivery(mail_id, 9, later=hours))
    assert inbound.tell_failed(redelivery(mail_id, 11), "crashed") == []  # it was another record's, which goes on
    other = new_mail_id()
    at = RawPointer(topic="mail.raw", partition=0, offset=21)
    second = msgspec.structs.replace(refusal(Reason.NO_ROUTE), mail_id=other, round=2, raw=at)
    began.append(second)
    assert await inbound.handle(redelivery(other, 23, later=hours)) == []
    assert await inbound.handle(redelivery(other, 25, later=hours, number=3))


async def test_a_command_that_a_sink_has_worked_on_is_not_given_again(
    tmp_path: Path, began: list[MailEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sink may have been killed as well, and does not know it; by then the mail may have been redelivered."""
    inbound = Inbound(
        Settings.model_validate(
            {
                "data_dir": str(tmp_path),
                "kafka": {"bootstrap": "127.0.0.1:1"},
                "inbound": {
                    "domains": {"ours.test": {}},
                    "routes": [{"match": {"to": "a@ours.test"}, "forward": ["b@far.test"]}],
                },
            }
        )
    )
    monkeypatch.setattr(Decisions, "_read_tail", lambda *_: Tail(tried={7: {"a@ours.test"}}))

    async def topics_of(offset: int) -> set[str]:
        groups = await inbound.handle(polled(new_mail_id(), offset, repeated=False))
        return {record.topic for group in groups for record in group}

    assert topics.DISPATCH in await topics_of(9)
    again = await topics_of(7)
    assert topics.EVENTS in again and topics.DISPATCH not in again
