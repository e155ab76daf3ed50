"""What becomes of one record of `mail.raw`: pure, from the message and its authentication to events and commands."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from contracts.auth_results import AuthResults
from contracts.events import Action, Dispatch, MailEvent, RawPointer, Summary, Target
from contracts.raw_message import Envelope
from contracts.settings import Settings
from contracts.statuses import Direction, Reason, Status, is_terminal
from mail.addresses import channel_of, split_address
from mail.bounce_address import BounceAddresses
from mail.parse_headers import Message
from processors.apply_policy import Refusal, apply_policy
from processors.detect_loop import REPLY as LOOP_REPLY
from processors.detect_loop import detect_loop
from processors.route import Decision, route
from processors.summarise import readable_headers, summarise

Prepend = Callable[[str], tuple[str, list[tuple[int, int]]]]  # recipient -> header lines, octet ranges to leave out


@dataclass(frozen=True)
class Mail:
    """One mail as the processors see it."""

    envelope: Envelope
    message: Message
    auth: AuthResults | None
    raw: RawPointer


@dataclass
class Outcome:
    """What follows: events for the log, commands for the sinks, and the reply for a receiver that waits."""

    events: list[MailEvent] = field(default_factory=list)
    commands: list[Dispatch] = field(default_factory=list)
    reply: str = ""


def process_refused(envelope: Envelope) -> Outcome:
    """A recipient that the receiver refused before DATA: a row of the log, no message."""
    assert envelope.refusal is not None
    detail = f"answered {envelope.refusal.reply}"
    return Outcome(
        [
            _without_message(envelope, one, Status.REJECTED, envelope.refusal.reason, detail)
            for one in envelope.recipients
        ]
    )


def process_unusable(envelope: Envelope, why: str) -> Outcome:
    """A mail that crashed the processors: held as a dead letter, and `failed` in the log. The sender hears 250: we have it."""
    detail = f"the message is kept in mail.deadletter ({why}); replay it after the cause is mended"
    events = [
        _without_message(envelope, one, Status.FAILED, Reason.INTERNAL_ERROR, detail) for one in envelope.recipients
    ]
    reply = f"250 2.0.0 Accepted as {envelope.mail_id}" if envelope.verdict_partition is not None else ""
    return Outcome(events, [], reply)


def _without_message(envelope: Envelope, recipient: str, status: Status, reason: Reason, detail: str) -> MailEvent:
    return MailEvent(
        mail_id=envelope.mail_id,
        recipient=recipient,
        direction=envelope.direction,
        status=status,
        terminal=True,
        occurred_at=envelope.received_at,
        reason=reason,
        detail=detail,
        mail=summarise(envelope, Message([], b"", []), None, ""),
    )


def process_inbound(
    mail: Mail, settings: Settings, bounces: BounceAddresses, now: datetime, prepend: Prepend
) -> Outcome:
    """Policy, loops and routes for each recipient. The dialogue refuses only what every recipient refuses; a refusal that
    the sender does not hear (decided too late, or beside recipients that accept) is logged with `late`."""
    envelope = mail.envelope
    assert mail.auth is not None
    steps = [_inbound_step(mail, recipient, settings, bounces) for recipient in envelope.recipients]
    refused = [step.reply for step in steps]
    in_time = envelope.verdict_deadline is not None and now <= envelope.verdict_deadline
    out = Outcome()
    if envelope.verdict_partition is not None:
        heard = all(refused) and in_time
        out.reply = refused[0] if heard else f"250 2.0.0 Accepted as {envelope.mail_id}"
    heard = bool(out.reply) and out.reply[0] != "2"
    headers = readable_headers(mail.message)
    for step in steps:
        if step.status is not Status.REJECTED:
            out.events.append(_event(mail, step, Status.RECEIVED, envelope.received_at, headers, step.arrival))
        if step.status is not Status.RECEIVED:
            first = step.status is Status.REJECTED
            late = first and not heard
            told = f" (answered {out.reply or '250 before this was decided'})" if first else ""
            out.events.append(
                _event(
                    mail,
                    step,
                    step.status,
                    now,
                    headers if first else [],
                    step.detail + told,
                    step.reason,
                    late=late,
                    auth=first,
                )
            )
        elif step.action is not None:
            lines, cut = prepend(step.recipient) if step.action is Action.FORWARD else ("", [])
            out.commands.append(
                Dispatch(
                    mail_id=envelope.mail_id,
                    recipient=step.recipient,
                    direction=Direction.INBOUND,
                    action=step.action,
                    expires_at=envelope.received_at + settings.delivery.expire,
                    raw=mail.raw,
                    mail=step.summary,
                    envelope_from=step.envelope_from,
                    targets=[Target(address=address) for address in step.targets],
                    prepend=lines,
                    cut=cut,
                )
            )
    return out


def process_outbound(mail: Mail, settings: Settings, bounces: BounceAddresses) -> Outcome:
    """A mail of ours: `sent`, and one delivery for each recipient."""
    envelope = mail.envelope
    out = Outcome()
    headers = readable_headers(mail.message)
    summary = summarise(envelope, mail.message, None, "")
    domain = split_address(envelope.envelope_from)[1] or split_address(summary.from_)[1]
    for recipient in envelope.recipients:
        out.events.append(
            MailEvent(
                mail_id=envelope.mail_id,
                recipient=recipient,
                direction=Direction.OUTBOUND,
                status=Status.SENT,
                terminal=False,
                occurred_at=envelope.received_at,
                detail=f"accepted from {envelope.user or 'an application'} over {envelope.protocol}",
                mail=summary,
                raw=mail.raw,
                headers=headers,
            )
        )
        out.commands.append(
            Dispatch(
                mail_id=envelope.mail_id,
                recipient=recipient,
                direction=Direction.OUTBOUND,
                action=Action.DELIVER,
                expires_at=envelope.received_at + settings.delivery.expire,
                raw=mail.raw,
                mail=summary,
                envelope_from=bounces.verp(envelope.mail_id, recipient, domain),
                targets=[Target(address=recipient)],
            )
        )
    return out


@dataclass(frozen=True)
class _Step:
    """What shall happen for one recipient."""

    recipient: str
    summary: Summary
    status: Status  # RECEIVED where a command follows
    detail: str = ""
    arrival: str = ""  # what the `received` event says
    reason: Reason | None = None
    reply: str = ""  # set where it is refused
    action: Action | None = None
    targets: tuple[str, ...] = ()
    envelope_from: str = ""


def _inbound_step(mail: Mail, recipient: str, settings: Settings, bounces: BounceAddresses) -> _Step:
    envelope, auth = mail.envelope, mail.auth
    assert auth is not None
    summary = summarise(envelope, mail.message, auth, channel_of(recipient, settings))
    if detect_loop(mail.message, recipient):
        detail = "the message has been here before, or has more than 30 Received headers"
        return _Step(recipient, summary, Status.REJECTED, detail, reason=Reason.LOOP, reply=LOOP_REPLY)
    bounce = bounces.read_verp(recipient)
    if bounce is not None:
        detail = f"a report about outbound mail {bounce.mail_id}"
        return _Step(recipient, summary, Status.DROPPED, detail, detail, reason=Reason.RULE)
    origin = bounces.read_srs(recipient)
    if origin is not None:
        return _Step(
            recipient,
            summary,
            Status.RECEIVED,
            arrival=f"a report about a forward: passed on to its first sender {origin}",
            action=Action.FORWARD,
            targets=(origin,),
        )
    domain = split_address(recipient)[1]
    policy = settings.inbound.domains.get(domain)
    refusal = apply_policy(auth, policy) if policy is not None else None
    if refusal is not None and not refusal.monitored:
        return _Step(recipient, summary, Status.REJECTED, refusal.detail, reason=refusal.reason, reply=refusal.reply)
    decision = route(recipient, summary, mail.message, auth, settings)
    return _follow(decision, recipient, summary, refusal, bounces, domain)


def _follow(
    decision: Decision,
    recipient: str,
    summary: Summary,
    monitored: Refusal | None,
    bounces: BounceAddresses,
    domain: str,
) -> _Step:
    would = f"; monitor: would have been refused ({monitored.reason}): {monitored.detail}" if monitored else ""
    arrival = decision.detail + would
    if decision.reject:
        reason = Reason.POLICY if decision.rule else Reason.NO_ROUTE
        return _Step(recipient, summary, Status.REJECTED, decision.detail, reason=reason, reply=decision.reject)
    if decision.drop:
        return _Step(recipient, summary, Status.DROPPED, decision.drop, arrival, reason=Reason.RULE)
    if decision.handle:
        return _Step(
            recipient, summary, Status.RECEIVED, arrival=arrival, action=Action.HANDLE, targets=(decision.handle,)
        )
    return _Step(
        recipient,
        summary,
        Status.RECEIVED,
        arrival=arrival,
        action=Action.FORWARD,
        targets=decision.forward,
        envelope_from=bounces.srs(summary.envelope_from, domain),
    )


def _event(
    mail: Mail,
    step: _Step,
    status: Status,
    moment: datetime,
    headers: list[tuple[str, str]],
    detail: str,
    reason: Reason | None = None,
    *,
    late: bool = False,
    auth: bool = True,
) -> MailEvent:
    return MailEvent(
        mail_id=mail.envelope.mail_id,
        recipient=step.recipient,
        direction=Direction.INBOUND,
        status=status,
        terminal=is_terminal(status),
        late=late,
        occurred_at=moment,
        reason=reason,
        detail=detail[:2000],
        mail=step.summary,
        raw=mail.raw,
        auth=mail.auth if auth else None,
        headers=headers,
    )
