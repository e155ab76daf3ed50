"""What one stage writes another one reads, and nothing else is taken for it."""

import json
import uuid
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.write_docs import documents
from contracts import clock, topics
from contracts.codec import (
    decode,
    decode_envelope,
    encode_attempt_report,
    encode_dispatch,
    encode_mail_event,
    encode_status_change,
    encode_verdict,
    mail_event_id,
)
from contracts.dead_letter import HEADER, dead_letter, read_dead_letter
from contracts.errors import InvalidEvent
from contracts.events import (
    Action,
    Attempt,
    AttemptReport,
    Dispatch,
    MailEvent,
    Outcome,
    RawPointer,
    Summary,
    Target,
    Verdict,
)
from contracts.ids import event_id, new_mail_id, received_ms
from contracts.raw_message import Blob, Envelope, RawType, Refusal, decode_headers, encode_headers
from contracts.records import ConsumedRecord
from contracts.statuses import (
    ADVICE,
    EVENTS_ONLY,
    INBOUND_STATUSES,
    OUTBOUND_STATUSES,
    Direction,
    Reason,
    Status,
    is_terminal,
    rank,
)
from processors.publish_events import status_change

NOW = datetime(2026, 11, 3, 12, 22, 54, 120_000, tzinfo=UTC)
MAIL_ID = "01a206f7-6b43-7745-9bab-87fa221dd751"
SCHEMAS = Path(__file__).resolve().parents[3] / "docs" / "schemas"


def event(subject: str = "Grüße", status: Status = Status.DELIVERED, late: bool = False, attempt: int = 2) -> MailEvent:
    mail = Summary(received_at=NOW, from_="a@b.test", subject=subject)
    tried = Attempt(number=attempt, target="x@y.test", outcome=Outcome.ACCEPTED, started_at=NOW, code=250, text="ok")
    return MailEvent(
        mail_id=MAIL_ID,
        recipient="x@y.test",
        direction=Direction.OUTBOUND,
        status=status,
        terminal=is_terminal(status),
        late=late,
        occurred_at=NOW,
        attempt=attempt,
        mail=mail,
        attempts=[tried],
        headers=[("Subject", subject)],
    )


COMMAND = Dispatch(
    mail_id=MAIL_ID,
    recipient="x@y.test",
    direction=Direction.INBOUND,
    action=Action.FORWARD,
    expires_at=NOW,
    raw=RawPointer(topic="mail.raw", partition=1, offset=7),
    mail=Summary(received_at=NOW),
    targets=[Target(address="a@b.test")],
    prepend="Delivered-To: x@y.test\r\n",
    cut=[(0, 10)],
)
REPORT = AttemptReport(
    mail_id=MAIL_ID,
    recipient="x@y.test",
    direction=Direction.INBOUND,
    action=Action.FORWARD,
    attempt=1,
    occurred_at=NOW,
    mail=Summary(received_at=NOW),
    raw=COMMAND.raw,
    attempts=event().attempts,
    targets=[Target(address="a@b.test", settled=event().attempts[0])],
)
VERDICT = Verdict(mail_id=MAIL_ID, reply="250 2.0.0 ok", decided_at=NOW)
WRITTEN = {
    "mail-event": (encode_mail_event(event(), "s"), event()),
    "dispatch": (encode_dispatch(COMMAND, "s"), COMMAND),
    "attempt-report": (encode_attempt_report(REPORT, "s"), REPORT),
    "verdict": (encode_verdict(VERDICT, "s"), VERDICT),
    "status-change": (encode_status_change(status_change(event()), "s"), status_change(event())),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_was_written_is_read_and_fits_the_published_schema(name: str) -> None:
    value, data = WRITTEN[name]
    assert decode(value, type(data)) == data
    jsonschema.validate(json.loads(value), json.loads((SCHEMAS / f"{name}.json").read_text()))


def test_an_envelope_is_a_cloud_event() -> None:
    found = json.loads(WRITTEN["status-change"][0])
    assert (found["specversion"], found["type"]) == ("1.0", "mailscope.mail.delivered.v1")
    assert (found["subject"], found["source"]) == ("x@y.test", "s")
    assert found["time"].startswith("2026-11-03T12:22:54.12")


@given(st.text())
def test_any_text_makes_the_round_trip(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert decode(encode_mail_event(event(text), "s"), MailEvent).mail.subject == text


@given(st.binary(max_size=200))
def test_junk_is_an_invalid_event_and_no_other_error(octets: bytes) -> None:
    with pytest.raises(InvalidEvent):
        decode(octets, MailEvent)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found.pop("id"),
        lambda found: found.update(specversion="2.0"),
        lambda found: found["data"].pop("status"),
        lambda found: found["data"].update(status="lost"),
        lambda found: found["data"].update(attempt=-1),
        lambda found: found["data"].update(occurred_at="yesterday"),
        lambda found: found.update(data=None),
        lambda found: found["data"].update(mail=[]),
    ],
)
def test_an_event_that_is_not_as_agreed_is_not_read(spoil) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(encode_mail_event(event(), "s"))
    spoil(found)
    with pytest.raises(InvalidEvent, match=r"not_a_cloudevent|wrong_data"):
        decode(json.dumps(found).encode(), MailEvent)


@pytest.mark.parametrize("name", WRITTEN)
def test_what_a_later_version_adds_is_passed_over(name: str) -> None:
    """Stages are upgraded one after the other, and consumers after us; CloudEvents 1.0 section 3.2 allows further attributes."""
    value, data = WRITTEN[name]
    found = json.loads(value)

    def grow(one: object) -> None:
        for inner in list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else ():
            grow(inner)
        if isinstance(one, dict):
            one["added_later"] = {"x": [1]}

    grow(found)
    assert "added_later" in found["data"] and decode(json.dumps(found).encode(), type(data)) == data


def test_one_kind_is_never_read_as_another() -> None:
    for name, (value, data) in WRITTEN.items():
        for other, (_, others) in WRITTEN.items():
            if name != other:
                with pytest.raises(InvalidEvent):
                    decode(value, type(others))
        assert decode_envelope(value).subject in ("x@y.test", MAIL_ID), data


def test_very_deep_json_is_junk_too() -> None:
    with pytest.raises(InvalidEvent):
        decode(b"[" * 100_000, MailEvent)


def test_the_same_event_has_the_same_id_and_any_other_has_another() -> None:
    assert mail_event_id(event("a")) == mail_event_id(event("b"))
    others = [
        event(attempt=3),
        event(status=Status.DEFERRED),
        event(status=Status.DELIVERY_FAILED),
        event(status=Status.DELIVERY_FAILED, late=True),
    ]
    assert len({mail_event_id(one) for one in [event(), *others]}) == 5
    assert event_id("a", "b", "c", 1) == event_id("a", "b", "c", 1) == "" + event_id("a", "b", "c", 1)
    assert event_id("a", "bc", "", 1) != event_id("a", "b", "c", 1)


def test_mail_ids_sort_by_time_and_tell_it() -> None:
    before = clock.to_ms(clock.now())
    ids = [new_mail_id() for _ in range(5000)]
    assert ids == sorted(ids) and len(set(ids)) == 5000
    assert {(uuid.UUID(one).version, uuid.UUID(one).variant) for one in ids} == {(7, uuid.RFC_4122)}
    assert before <= received_ms(ids[0]) <= received_ms(ids[-1]) <= clock.to_ms(clock.now())
    with pytest.raises(ValueError, match="UUIDv7"):
        received_ms("7c9e6679-7425-40de-944b-e07fc1f90ae7")
    with pytest.raises(ValueError):
        received_ms("x")


@given(st.integers(0, 4_000_000_000_000))
def test_milliseconds_make_the_round_trip(milliseconds: int) -> None:
    moment = clock.from_ms(milliseconds)
    assert clock.to_ms(moment) == milliseconds
    assert datetime.fromisoformat(clock.rfc3339(moment)) == moment


def test_a_time_of_another_zone_is_written_in_utc() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert clock.rfc3339(there) == "2026-11-03T12:22:54.120Z" and clock.to_ms(there) == clock.to_ms(NOW)


ENVELOPE = Envelope(
    mail_id=MAIL_ID,
    type=RawType.ACCEPTED,
    direction=Direction.INBOUND,
    received_at=NOW,
    envelope_from="",
    recipients=["jürgen@y.test"],
    blob=Blob(url="file:///x", sha256="0"),
    refusal=Refusal(reply="550 5.1.1 no", reason=Reason.UNKNOWN_RECIPIENT),
)


def test_the_envelope_of_a_message_makes_the_round_trip_and_names_its_blob() -> None:
    headers = encode_headers(ENVELOPE, "s")
    assert decode_headers([("other", b"\xff"), *headers]) == ENVELOPE
    assert dict(headers)["ce_dataref"] == b"file:///x" and dict(headers)["content-type"] == b"message/rfc822"


@pytest.mark.parametrize("headers", [None, [], [("mailscope-envelope", b"{}")], [("mailscope-envelope", b"\xff")]])
def test_a_message_without_an_envelope_is_invalid(headers: list[tuple[str, bytes]] | None) -> None:
    with pytest.raises(InvalidEvent, match="envelope"):
        decode_headers(headers)


def test_a_dead_letter_keeps_octets_headers_and_place_and_says_why() -> None:
    record = dead_letter(
        "stage",
        InvalidEvent("odd", "x" * 9999),
        ConsumedRecord("mail.events", 3, 9, b"\xff", b"\x00\xff", [("a", b"\xfe")]),
    )
    assert record.topic == topics.DEADLETTER and record.value == b"\x00\xff" and ("a", b"\xfe") in record.headers
    letter = read_dead_letter(record.headers)
    assert (letter.stage, letter.reason, letter.topic, letter.partition, letter.offset) == (
        "stage",
        "odd",
        "mail.events",
        3,
        9,
    )
    assert len(letter.detail) == 2000
    for headers in (None, [], [(HEADER, b"junk")]):
        with pytest.raises(InvalidEvent, match="wrong_dead_letter"):
            read_dead_letter(headers)


def test_terminal_outranks_deferred_outranks_the_first_word_and_a_late_bounce_all() -> None:
    first = {rank(status, False) for status in (Status.RECEIVED, Status.SENT)}
    ends = {rank(status, False) for status in Status if is_terminal(status) and status not in EVENTS_ONLY}
    assert all(rank(status, True) < min(first) for status in EVENTS_ONLY)  # what is said of a mail is not its status
    assert max(first) < rank(Status.DEFERRED, False) < min(ends) and len(ends) == 1
    # A refusal that the sender did not hear outranks the one that was meant for the dialogue.
    assert rank(Status.DELIVERY_FAILED, True) > rank(Status.REJECTED, True) > max(ends)
    assert set(Status) == INBOUND_STATUSES | OUTBOUND_STATUSES | EVENTS_ONLY


def test_every_reason_has_advice_that_is_a_sentence() -> None:
    assert set(ADVICE) == set(Reason)
    for advice in ADVICE.values():
        assert advice.endswith(".") and advice[0].isupper() and len(advice) > 30


def test_messages_outlive_their_last_delivery_and_each_delay_has_one_topic() -> None:
    made = topics.all_topics(["1m", "5m", "1m"], timedelta(days=9), timedelta(days=21))
    names = [topic.name for topic in made]
    assert len(names) == len(set(names)) and {"mail.dispatch.retry.1m", "mail.dispatch.retry.5m"} <= set(names)
    by_name = {topic.name: topic for topic in made}
    assert by_name["mail.raw"].retention == timedelta(days=9)
    assert [topic.name for topic in made if topic.public] == ["mail.status.inbound", "mail.status.outbound"]
    assert by_name["mail.suppressions"].config == {"cleanup.policy": "compact", "max.compaction.lag.ms": "604800000"}
    assert by_name["mail.verdicts"].config["retention.ms"] == "3600000"


def test_the_generated_documents_are_those_of_this_code() -> None:
    drifted = [path.name for path, text in documents() if not path.exists() or path.read_text() != text]
    assert not drifted, f"run `make docs`: {drifted}"
