"""A change of status, and its record as the processors write it."""

from typing import Any

import msgspec

from contracts import clock, topics
from contracts.codec import HEADERS, encode_status_change
from contracts.events import StatusChange
from contracts.ids import new_mail_id
from contracts.records import Record
from contracts.statuses import Direction

_NULL = ("reason", "bounce_type", "bounce_class", "smtp_code", "enhanced_code", "smtp_text", "host", "next_attempt_at")


def status_change(**fields: Any) -> StatusChange:
    """Outbound mail of ours.test that was delivered, but for `fields`."""
    now = clock.rfc3339(clock.now())
    empty = {field.name: "" for field in msgspec.structs.fields(StatusChange)}
    known = {
        **empty, "mail_id": new_mail_id(), "recipient": "anna@partner.test", "direction": "outbound", "status": "delivered",
        "terminal": True, "late": False, "occurred_at": now, "received_at": now, "round": 0, "attempt": 1, "size": 100,
        "from_": "desk@ours.test", "subject": "Hello", **dict.fromkeys(_NULL), **fields,
    }  # fmt: skip
    known["from"] = known.pop("from_")
    return msgspec.convert(known, StatusChange)


def status_record(change: StatusChange, partition: int = 0) -> Record:
    topic = topics.STATUS_INBOUND if change.direction is Direction.INBOUND else topics.STATUS_OUTBOUND
    return Record(topic, change.mail_id, encode_status_change(change, "test"), HEADERS, partition)
