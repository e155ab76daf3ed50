"""The only place where Kafka values are built and parsed: CloudEvents 1.0, structured JSON mode.

(CloudEvents 1.0 section 3.1; Kafka protocol binding section 3.3.) The raw message uses binary mode: see raw_message.py.
"""

from datetime import datetime
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from contracts import clock
from contracts.audit import AuditEntry
from contracts.erasures import Erasure
from contracts.errors import InvalidEvent
from contracts.events import AttemptReport, Connectivity, Dispatch, LateNews, MailEvent, StatusChange, Verdict
from contracts.ids import event_id
from contracts.preferences import Preference
from contracts.shared_state import Claim, MailboxNote, QuotaTicket, Thread, Token, claim_key, note_key
from contracts.subscriptions import SubscriberCall, SubscriberState
from contracts.suppressions import Suppression

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
HEADERS: list[tuple[str, bytes]] = [("content-type", CONTENT_TYPE.encode())]

Data = TypeVar("Data", bound=Struct)


class CloudEvent(Struct, frozen=True, kw_only=True):
    """The envelope around the data of every record but those of `mail.raw` and `mail.deadletter`."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str  # the stage that wrote it, such as mailscope/processors
    type: str
    time: datetime
    subject: str  # the recipient, or the channel
    datacontenttype: Literal["application/json"] = "application/json"
    data: msgspec.Raw


_encoder = msgspec.json.Encoder()
_envelope = msgspec.json.Decoder(CloudEvent)
_decoders: dict[type[Struct], msgspec.json.Decoder[Struct]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (
        MailEvent,
        StatusChange,
        Dispatch,
        AttemptReport,
        Verdict,
        Connectivity,
        Token,
        Claim,
        Suppression,
        Preference,
        QuotaTicket,
        MailboxNote,
        Thread,
        LateNews,
        AuditEntry,
        Erasure,
        SubscriberState,
        SubscriberCall,
    )
}


def encode(data: Struct, *, id: str, source: str, type: str, time: datetime, subject: str) -> bytes:
    """One CloudEvent as JSON."""
    return _encoder.encode(
        CloudEvent(id=id, source=source, type=type, time=time, subject=subject, data=msgspec.Raw(_encoder.encode(data)))
    )


def decode_envelope(value: bytes | None) -> CloudEvent:
    """The envelope with its data still unparsed. InvalidEvent("not_a_cloudevent") when it is none."""
    try:
        return _envelope.decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("not_a_cloudevent", str(error)) from error


def decode(value: bytes | None, kind: type[Data]) -> Data:
    """The data of one CloudEvent. InvalidEvent("not_a_cloudevent" | "wrong_data") when it is not of this kind."""
    event = decode_envelope(value)
    try:
        return _decoders[kind].decode(event.data)  # type: ignore[return-value]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent("wrong_data", f"{event.type}: {error}") from error


def encode_mail_event(event: MailEvent, source: str) -> bytes:
    """A line of the timeline, for `mail.events`."""
    return encode(
        event,
        id=mail_event_id(event),
        source=source,
        type=f"mailscope.event.{event.status}.v1",
        time=event.occurred_at,
        subject=event.recipient,
    )


def encode_status_change(change: StatusChange, source: str) -> bytes:
    """A public change of status. Its id is the id of the event that caused it."""
    return encode(
        change,
        id=event_id(
            change.mail_id,
            change.recipient,
            *_identity(change.status, change.late, change.source, change.occurred_at, change.attempt, change.round),
        ),
        source=source,
        type=f"mailscope.mail.{change.status}.v1",
        time=change.occurred_at,
        subject=change.recipient,
    )


def mail_event_id(event: MailEvent) -> str:
    """The id that follows from what the event says (design section 3)."""
    identity = _identity(event.status, event.late, event.mail.source, event.occurred_at, event.attempt, event.round)
    return event_id(event.mail_id, event.recipient, *identity)


def _identity(status: str, late: bool, source: str, at: datetime, attempt: int, round_: int) -> tuple[str, int]:
    """(type, attempt). Of what another server reports, the time says which attempt it was, and not the number that we gave it."""
    word = _of_round(f"{status}.late" if late else str(status), round_)
    return (f"{word}.{clock.to_ms(at)}", 0) if source else (word, attempt)


def _of_round(word: str, round_: int) -> str:
    """The type of what happens again in a later round: its identity is another one."""
    return f"{word}.round{round_}" if round_ else word


def encode_dispatch(command: Dispatch, source: str) -> bytes:
    """A command, for `mail.dispatch` or a retry topic."""
    return encode(
        command,
        id=event_id(
            command.mail_id,
            command.recipient,
            _of_round(f"dispatch.{command.action}", command.round),
            command.attempt,
        ),
        source=source,
        type=f"mailscope.dispatch.{command.action}.v1",
        time=clock.now(),
        subject=command.recipient,
    )


def encode_attempt_report(report: AttemptReport, source: str) -> bytes:
    """A report, for `mail.attempts`."""
    return encode(
        report,
        id=event_id(
            report.mail_id, report.recipient, _of_round(f"attempt.{report.action}", report.round), report.attempt
        ),
        source=source,
        type=f"mailscope.attempt.{report.action}.v1",
        time=report.occurred_at,
        subject=report.recipient,
    )


LATE_NEWS = "mailscope.news."


def encode_late_news(news: LateNews, source: str) -> bytes:
    """What came back about a mail, for `mail.attempts`."""
    return encode(
        news,
        id=event_id(
            news.mail_id, news.recipient_digest, _of_round(f"news.{news.status}.{news.report_id}", news.round), 0
        ),
        source=source,
        type=f"{LATE_NEWS}{news.status}.v1",
        time=news.occurred_at,
        subject=news.mail_id,
    )


def encode_verdict(verdict: Verdict, source: str) -> bytes:
    """A verdict, for the partition of `mail.verdicts` that the receiver named."""
    return encode(
        verdict,
        id=event_id(verdict.mail_id, "", "verdict", 0),
        source=source,
        type="mailscope.verdict.v1",
        time=verdict.decided_at,
        subject=verdict.mail_id,
    )


def encode_token(token: Token, source: str) -> bytes:
    """A token that was created or revoked, for `mail.tokens`."""
    done = "created" if token.revoked_at is None else "revoked"
    return encode(
        token,
        id=event_id(token.id, "", f"token.{done}", 0),
        source=source,
        type=f"mailscope.token.{done}.v1",
        time=token.revoked_at or token.created_at,
        subject=token.id,
    )


def encode_claim(claim: Claim, source: str) -> bytes:
    """A claim, or what came of it, for `mail.claims`."""
    done = "made" if claim.answer is None else "answered"
    return encode(
        claim,
        id=event_id(claim.claimant, claim_key(claim), f"claim.{done}", 0),
        source=source,
        type=f"mailscope.claim.{done}.v1",
        time=clock.now(),
        subject=claim.claim,
    )


def encode_quota_ticket(ticket: QuotaTicket, source: str) -> bytes:
    """A mail that takes from its domain's quota, for `mail.quotas`."""
    return encode(
        ticket,
        id=event_id(ticket.mail_id, ticket.domain, "quota", 0),
        source=source,
        type="mailscope.quota.asked.v1",
        time=ticket.at,
        subject=ticket.domain,
    )


def encode_mailbox_note(note: MailboxNote, source: str) -> bytes:
    """What a poller has done, for `mail.mailboxes`."""
    done = "owned" if note.taken is None else "taken"
    return encode(
        note,
        id=event_id(note_key(note), note.owner, f"mailbox.{done}.{clock.rfc3339(note.at)}", note.generation),
        source=source,
        type=f"mailscope.mailbox.{done}.v1",
        time=note.at,
        subject=note.channel,
    )


def encode_thread(thread: Thread, source: str) -> bytes:
    """The request that a mail belongs to, for `mail.threads`."""
    return encode(
        thread,
        id=event_id(thread.message_id_digest, thread.reference, "thread", 0),
        source=source,
        type="mailscope.thread.known.v1",
        time=thread.at,
        subject=thread.message_id_digest,
    )


def encode_connectivity(change: Connectivity, source: str) -> bytes:
    """The health of a channel, for `mail.connectivity`. What is told again of a gap, when it is over, has the id of the gap."""
    return encode(
        change,
        id=event_id(change.channel, change.state, f"connectivity.{clock.rfc3339(change.occurred_at)}", 0),
        source=source,
        type=f"mailscope.connectivity.{change.state}.v1",
        time=change.ended_at or change.occurred_at,
        subject=change.channel,
    )


def encode_audit_entry(entry: AuditEntry, source: str) -> bytes:
    """An act, for `mail.audit`."""
    return encode(
        entry,
        id=entry.id,
        source=source,
        type=f"mailscope.audit.{entry.action}.v1",
        time=entry.at,
        subject=entry.actor,
    )


def encode_erasure(erasure: Erasure, source: str) -> bytes:
    """An address that is to be erased or was, for `mail.erasures`."""
    done = "asked" if erasure.done_at is None else "done"
    return encode(
        erasure,
        id=event_id(erasure.digest, clock.rfc3339(erasure.asked_at), f"erasure.{done}", 0),
        source=source,
        type=f"mailscope.erasure.{done}.v1",
        time=erasure.done_at or erasure.asked_at,
        subject=erasure.digest,
    )


def encode_subscriber_state(state: SubscriberState, source: str) -> bytes:
    """How a subscriber is doing, for `mail.subscriptions`."""
    return _encode_state(state, source, "subscription", state.subscription, state.changed_at)


def encode_subscriber_call(call: SubscriberCall, source: str) -> bytes:
    """One call of a subscriber, for `mail.calls`."""
    return encode(
        call,
        id=event_id(call.event_id, call.subscription, f"call.{clock.rfc3339(call.started_at)}", call.attempt),
        source=source,
        type=f"mailscope.call.{call.outcome}.v1",
        time=call.started_at,
        subject=call.subscription,
    )


def encode_suppression(entry: Suppression, source: str) -> bytes:
    """What holds for an address of the suppression list, for `mail.suppressions`."""
    return _encode_state(entry, source, "suppression", entry.address, entry.changes[-1].at)


def encode_preference(entry: Preference, source: str) -> bytes:
    """What a recipient wishes, for `mail.preferences`."""
    return _encode_state(entry, source, "preference", entry.address, entry.updated_at)


def _encode_state(entry: Struct, source: str, kind: str, address: str, at: datetime) -> bytes:
    return encode(
        entry,
        id=event_id(address, kind, f"{kind}.{clock.rfc3339(at)}", 0),
        source=source,
        type=f"mailscope.{kind}.changed.v1",
        time=at,
        subject=address,
    )
