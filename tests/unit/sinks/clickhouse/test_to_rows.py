"""Which event a row shows: the same one, in whatever order and how often the events of a mail come."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.codec import encode_mail_event
from contracts.events import MailEvent, Summary
from contracts.records import ConsumedRecord
from contracts.statuses import Direction, Reason, Status, is_terminal
from sinks.clickhouse.to_rows import event_rows

MAIL_ID = "01a206f7-6b43-7745-9bab-87fa221dd751"
START = datetime(2026, 11, 3, 12, tzinfo=UTC)


def event(status: Status, seconds: int, attempt: int = 0, *, late: bool = False) -> MailEvent:
    return MailEvent(
        mail_id=MAIL_ID,
        recipient="Anna@partner.test",
        direction=Direction.OUTBOUND,
        status=status,
        terminal=is_terminal(status),
        late=late,
        occurred_at=START + timedelta(seconds=seconds),
        attempt=attempt,
        reason=Reason.EXPIRED if status is Status.DELIVERY_FAILED else None,
        mail=Summary(from_="desk@ours.test", subject="x", received_at=START, size=7),
    )


def shown(events: list[MailEvent]) -> dict:
    rows = [
        row
        for one in events
        for table, row in event_rows(ConsumedRecord("mail.events", 0, 1, None, encode_mail_event(one, "test"), []))
        if table == "mails"
    ]
    return max(rows, key=lambda row: row["ver"])


LIFE = [
    event(Status.SENT, 0),
    event(Status.DEFERRED, 1, 1),
    event(Status.DEFERRED, 60, 2),
    event(Status.DELIVERED, 120, 3),
    event(Status.DELIVERY_FAILED, 600, 3, late=True),
]


@given(st.lists(st.sampled_from(LIFE[:4]), max_size=10))
def test_a_terminal_status_outlasts_all_others_in_any_order(more: list[MailEvent]) -> None:
    assert shown([*more, LIFE[3], *reversed(more)])["status"] == "delivered"


@given(st.permutations([*LIFE, *(replace(one, round=1) for one in LIFE[:3])]), st.sampled_from(range(2, 32)))
def test_what_happens_after_a_redelivery_outranks_all_before_it(events: list[MailEvent], later: int) -> None:
    assert shown(events)["status"] == "deferred"
    again = replace(LIFE[0], round=later, occurred_at=START - timedelta(days=1))
    assert shown([*events, again])["status"] == "sent"


@given(st.permutations(LIFE))
def test_a_late_bounce_outranks_the_delivery(events: list[MailEvent]) -> None:
    row = shown(events)
    assert (row["status"], row["late"], row["attempts"]) == ("delivery_failed", True, 3)


def test_of_two_deferrals_the_later_one_is_shown() -> None:
    assert shown([LIFE[2], LIFE[1], LIFE[0]])["attempts"] == 2


def test_two_ends_in_one_millisecond_do_not_tie() -> None:
    versions = {shown([event(Status.DELIVERED, 5, number)])["ver"] for number in range(20)}
    assert len(versions) > 15


def test_a_row_is_whole_and_its_time_is_that_of_the_id() -> None:
    tables = dict(event_rows(ConsumedRecord("mail.events", 2, 9, None, encode_mail_event(LIFE[0], "test"), [])))
    row = tables["mails"]
    assert row["received_at"] == uuid.UUID(MAIL_ID).int >> 80
    assert (row["sender"], row["size"]) == ("desk@ours.test", 7)
    assert (row["recipient"], row["recipient_domain"]) == ("Anna@partner.test", "partner.test")
    assert tables["recipients"]["recipient"] == "anna@partner.test"
    assert (row["_topic"], row["_partition"], row["_offset"]) == ("mail.events", 2, 9)
