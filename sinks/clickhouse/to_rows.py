"""From records to rows: pure. An event becomes a line of the timeline and a whole row of its mail."""

import base64
import uuid
from typing import Any

import msgspec

from contracts import clock
from contracts.audit import AuditEntry
from contracts.codec import decode, mail_event_id
from contracts.dead_letter import HEADER, read_dead_letter
from contracts.errors import InvalidEvent
from contracts.events import Connectivity, MailEvent, decisive_answer
from contracts.ids import received_ms
from contracts.metadata import metadata_of
from contracts.raw_message import WITH_MESSAGE, decode_headers
from contracts.records import ConsumedRecord
from contracts.statuses import RANKS, rank
from contracts.subscriptions import SubscriberCall
from mail.addresses import split_address
from mail.name_provider import name_provider
from sinks.clickhouse.keep_erased_out import NOTHING_ERASED, ErasedAddresses

Row = dict[str, Any]
Rows = list[tuple[str, Row]]  # (table, row); times are ticks of DateTime64(3)


def version(event: MailEvent, event_id: uuid.UUID) -> int:
    """Which event is shown for a mail and recipient: the latest round, then the highest rank of status, then the highest attempt, then the
    latest, then bits of its id. Two machines' clocks may differ, so that the number of an attempt says more than its time.

    Computed from the event alone, so that order, repetitions and several writers cannot matter: 8 bits of round and rank, 8 of the
    attempt (255 at most), 42 of milliseconds (until 2109), 6 of the id.
    """
    return (
        rank_in_round(event) << 56
        | min(event.attempt, 255) << 48
        | (clock.to_ms(event.occurred_at) & (1 << 42) - 1) << 6
        | event_id.int & 0x3F
    )


def rank_in_round(event: MailEvent) -> int:
    """0 to 255: whatever happens in a later round outranks all of the rounds before."""
    place = rank(event.status, event.late)
    return RANKS[-1] + 1 + (event.round - 1) * len(RANKS) + RANKS.index(place) if event.round else place


def event_rows(source: ConsumedRecord, erased: ErasedAddresses = NOTHING_ERASED) -> Rows:
    """Rows of one record of `mail.events`; none for mail of an erased address. InvalidEvent when it cannot be read."""
    event = decode(source.value, MailEvent)
    place = {"_topic": source.topic, "_partition": source.partition, "_offset": source.offset}
    try:
        kept = erased.event(event)
    except ValueError as error:
        raise InvalidEvent("wrong_mail_id", str(error)) from error
    return rows_of(kept, place) if kept is not None else []


def rows_of(event: MailEvent, place: Row) -> Rows:
    """Rows of one event, that stood there in Kafka (`_topic`, `_partition`, `_offset`). InvalidEvent when its mail_id is none."""
    try:
        mail_id = uuid.UUID(event.mail_id)
        received = received_ms(event.mail_id)
    except ValueError as error:
        raise InvalidEvent("wrong_mail_id", str(error)) from error
    event_id = uuid.UUID(mail_event_id(event))
    occurred = clock.to_ms(event.occurred_at)
    line: Row = {
        "received_at": received,
        "mail_id": mail_id,
        "recipient": event.recipient,
        "occurred_at": occurred,
        "event_id": event_id,
        "status": event.status.value,
        "data": msgspec.json.encode(event).decode(),
        **place,
    }
    mail = event.mail
    answer = decisive_answer(event)
    row: Row = {
        "received_at": received,
        "mail_id": mail_id,
        "recipient": event.recipient,
        "ver": version(event, event_id),
        "direction": event.direction.value,
        "status": event.status.value,
        "terminal": event.terminal,
        "late": event.late,
        "reason": event.reason.value if event.reason else "",
        "detail": event.detail,
        "sender": mail.from_,
        "sender_name": mail.from_name,
        "envelope_from": mail.envelope_from,
        "subject": mail.subject,
        "message_id": mail.message_id,
        "channel": mail.channel,
        **metadata_of(mail),
        "sender_domain": split_address(mail.from_)[1],
        "recipient_domain": split_address(event.recipient)[1],
        "updated_at": occurred,
        "size": mail.size,
        "peer_ip": mail.peer_ip,
        "helo": mail.helo,
        "spf": mail.spf,
        "dkim": mail.dkim,
        "dmarc": mail.dmarc,
        "arc": mail.arc,
        "iprev": mail.iprev,
        "bounce_type": event.bounce.bounce_type.value if event.bounce else "",
        "bounce_class": event.bounce.bounce_class.value if event.bounce else "",
        "smtp_code": answer.code if answer else 0,
        "enhanced_code": answer.enhanced_code if answer else "",
        "smtp_text": answer.text if answer else "",
        "host": answer.host if answer else "",
        "provider": name_provider(answering_host(event)),
        "source": mail.source,
        "source_id": mail.source_id,
        "attempts": event.attempt,
        "next_attempt_at": clock.to_ms(event.next_attempt_at) if event.next_attempt_at else None,
        "event_id": event_id,
        **place,
    }
    by_recipient = {"recipient": event.recipient.lower(), "received_at": received, "mail_id": mail_id}
    return [("events", line), ("mails", row), ("recipients", by_recipient)]


def answering_host(event: MailEvent) -> str:
    """The mail server that an event is about: the one that answered, or the first of those that were to; "" for a handler's."""
    answer = decisive_answer(event)
    last = event.attempts[-1] if event.attempts else None
    if answer is None or (last is not None and last.command == "POST"):
        return ""
    return answer.host or next((one.servers[0] for one in event.attempts if one.servers), "")


def raw_rows(source: ConsumedRecord, erased: ErasedAddresses = NOTHING_ERASED) -> Rows:
    """The row of one record of `mail.raw`; none where there is no message, or it was erased. InvalidEvent when it cannot be read."""
    envelope = decode_headers(source.headers)
    if envelope.type not in WITH_MESSAGE:
        return []
    try:
        received = received_ms(envelope.mail_id)
        if not erased.keeps_message(envelope, source.value or b""):
            return []
    except ValueError as error:
        raise InvalidEvent("wrong_mail_id", str(error)) from error
    row = {
        "received_at": received,
        "mail_id": uuid.UUID(envelope.mail_id),
        "size": envelope.size,
        "blob_url": envelope.blob.url if envelope.blob else "",
        "blob_sha256": envelope.blob.sha256 if envelope.blob else "",
        "content": source.value or b"",
        "_topic": source.topic,
        "_partition": source.partition,
        "_offset": source.offset,
    }
    return [("raw", row)]


def audit_rows(source: ConsumedRecord, erased: ErasedAddresses = NOTHING_ERASED) -> Rows:
    """The row of one record of `mail.audit`. InvalidEvent when it cannot be read."""
    entry = erased.audit_entry(decode(source.value, AuditEntry))
    try:
        name = uuid.UUID(entry.id)
    except ValueError as error:
        raise InvalidEvent("wrong_audit_id", str(error)) from error
    row = {
        "at": clock.to_ms(entry.at),
        "id": name,
        "actor": entry.actor,
        "actor_id": entry.actor_id,
        "action": entry.action.value,
        "mail_id": entry.mail_id,
        "recipient": entry.recipient,
        "detail": entry.detail,
        "peer_ip": entry.peer_ip,
        "_topic": source.topic,
        "_partition": source.partition,
        "_offset": source.offset,
    }
    return [("audit", row)]


def connectivity_rows(source: ConsumedRecord) -> Rows:
    """The row of one record of `mail.connectivity`. InvalidEvent when it cannot be read."""
    change = decode(source.value, Connectivity)
    ended = clock.to_ms(change.ended_at) if change.ended_at is not None else None
    row = {
        "channel": change.channel,
        "occurred_at": clock.to_ms(change.occurred_at),
        "state": change.state.value,
        "ended_at": ended,
        "detail": change.detail,
        "delayed": change.delayed,
        "delayed_mails": change.delayed_mails,
        "ver": ((ended or 0) & (1 << 42) - 1) << 22 | min(change.delayed, (1 << 22) - 1),
        "_topic": source.topic,
        "_partition": source.partition,
        "_offset": source.offset,
    }
    return [("connectivity", row)]


def call_rows(source: ConsumedRecord) -> Rows:
    """The row of one record of `mail.calls`. InvalidEvent when it cannot be read."""
    call = decode(source.value, SubscriberCall)
    try:
        event, mail = uuid.UUID(call.event_id), uuid.UUID(call.mail_id)
    except ValueError as error:
        raise InvalidEvent("wrong_id", str(error)) from error
    row = {
        "subscription": call.subscription,
        "started_at": clock.to_ms(call.started_at),
        "event_id": event,
        "attempt": call.attempt,
        "mail_id": mail,
        "status": call.status.value,
        "outcome": call.outcome.value,
        "code": call.code,
        "text": call.text,
        "duration_ms": call.duration_ms,
        "next_attempt_at": clock.to_ms(call.next_attempt_at) if call.next_attempt_at is not None else None,
        "health": call.health.value,
        "failing_since": clock.to_ms(call.failing_since) if call.failing_since is not None else None,
        "_topic": source.topic,
        "_partition": source.partition,
        "_offset": source.offset,
    }
    return [("calls", row)]


def dead_letter_rows(source: ConsumedRecord, erased: ErasedAddresses = NOTHING_ERASED) -> Rows:
    """The row of one dead letter, so that people can find it; none where it names an erased address."""
    words = [source.key or b"", source.value or b"", *(octets for _, octets in source.headers)]
    texts = [one.decode("utf-8", "replace") for one in words]
    if any(erased.text(one, source.timestamp_ms) != one for one in texts):
        return []
    letter = read_dead_letter(source.headers)
    kept = [_header(name, octets) for name, octets in source.headers if name != HEADER]
    row = {
        "put_aside_at": source.timestamp_ms,
        "stage": letter.stage,
        "reason": letter.reason,
        "detail": letter.detail,
        "source_topic": letter.topic,
        "source_partition": letter.partition,
        "source_offset": letter.offset,
        "key": source.key or b"",
        "value": source.value or b"",
        "headers": msgspec.json.encode(kept).decode(),
        "_topic": source.topic,
        "_partition": source.partition,
        "_offset": source.offset,
    }
    return [("dead_letters", row)]


def _header(name: str, octets: bytes) -> list[str]:
    """[name, text], or [name, "", base64] for what is no text."""
    try:
        return [name, octets.decode()]
    except UnicodeDecodeError:
        return [name, "", base64.b64encode(octets).decode()]
