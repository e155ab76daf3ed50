"""From events to records: each event for the log, and its public face for the status topics."""

import uuid
from collections.abc import Mapping

from contracts import clock, metrics, topics
from contracts.codec import (
    HEADERS,
    encode_dispatch,
    encode_late_news,
    encode_mail_event,
    encode_status_change,
    encode_verdict,
)
from contracts.events import Action, Dispatch, MailEvent, StatusChange, Verdict, decisive_answer
from contracts.metadata import metadata_of
from contracts.raw_message import Envelope
from contracts.records import Record
from contracts.statuses import Direction
from mail.addresses import split_address
from mail.parse_addresses import to_ascii_domain
from processors.decision import Consequences
from runtime.expose_metrics import counter

SOURCE = "mailscope/processors"


def event_records(event: MailEvent) -> list[Record]:
    """One record for `mail.events`, one for the public topic of its direction."""
    counter(metrics.STATUSES).labels(event.direction, event.status).inc()
    if event.bounce is not None:
        counter(metrics.BOUNCES).labels(event.bounce.bounce_class).inc()
    public = topics.STATUS_INBOUND if event.direction is Direction.INBOUND else topics.STATUS_OUTBOUND
    return [
        Record(topics.EVENTS, event.mail_id, encode_mail_event(event, SOURCE), HEADERS),
        Record(public, event.mail_id, encode_status_change(status_change(event), SOURCE), HEADERS),
    ]


def consequence_records(envelope: Envelope, found: Consequences, split: Mapping[str, int]) -> list[list[Record]]:
    """What to publish about one mail, group after group. Events first, so that a command that was sent out is always one whose decision
    can be found again."""
    events = [record for event in found.events for record in event_records(event)]
    commands = [dispatch_record(command, split) for command in found.commands]
    commands += [Record(topics.ATTEMPTS, one.mail_id, encode_late_news(one, SOURCE), HEADERS) for one in found.news]
    if not found.reply:
        return [events, commands]
    verdict = Verdict(mail_id=envelope.mail_id, reply=found.reply, decided_at=clock.now(), refused=found.refused)
    told = Record(
        topics.VERDICTS, envelope.mail_id, encode_verdict(verdict, SOURCE), HEADERS, envelope.verdict_partition
    )
    # An acceptance may be told at once, since the message is held. A refusal is told when the log has it.
    return [[*events, told], commands] if found.reply[0] == "2" else [events, [told]]


def dispatch_record(command: Dispatch, split: Mapping[str, int]) -> Record:
    """A command for the sinks. What is delivered goes by its destination, so that one worker serves a destination at a time; a forward
    to several domains goes by the first. A domain in `split` is as many destinations as that says."""
    return Record(topics.DISPATCH, _key(command, split), encode_dispatch(command, SOURCE), HEADERS)


def _key(command: Dispatch, split: Mapping[str, int]) -> str:
    if command.action is Action.HANDLE:
        return command.mail_id
    domain = split_address(command.targets[0].address)[1]
    domain = to_ascii_domain(domain) or domain
    parts = split.get(domain)
    return f"{domain}#{uuid.UUID(command.mail_id).int % parts}" if parts else domain


def status_change(event: MailEvent) -> StatusChange:
    """The public face of an event."""
    answer = decisive_answer(event)
    return StatusChange(
        mail_id=event.mail_id,
        recipient=event.recipient,
        direction=event.direction,
        status=event.status,
        terminal=event.terminal,
        late=event.late,
        occurred_at=event.occurred_at,
        received_at=event.mail.received_at,
        round=event.round,
        attempt=event.attempt,
        reason=event.reason,
        detail=event.detail,
        from_=event.mail.from_,
        envelope_from=event.mail.envelope_from,
        subject=event.mail.subject,
        message_id=event.mail.message_id,
        channel=event.mail.channel,
        **metadata_of(event.mail),
        source=event.mail.source,
        size=event.mail.size,
        spf=event.mail.spf,
        dkim=event.mail.dkim,
        dmarc=event.mail.dmarc,
        bounce_type=event.bounce.bounce_type if event.bounce else None,
        bounce_class=event.bounce.bounce_class if event.bounce else None,
        smtp_code=(answer.code or None) if answer else None,
        enhanced_code=(answer.enhanced_code or None) if answer else None,
        smtp_text=(answer.text or None) if answer else None,
        host=(answer.host or None) if answer else None,
        next_attempt_at=event.next_attempt_at,
    )
