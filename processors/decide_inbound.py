"""What becomes of a mail addressed to us: pure, from the message and its authentication to events, commands and the reply."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import msgspec

from contracts.auth_results import AuthResults
from contracts.auth_words import Alignment
from contracts.events import Action, Dispatch, MailEvent, Summary, Target
from contracts.raw_message import Envelope, accepted_reply
from contracts.settings import Settings
from contracts.statuses import Direction, Reason, Status, is_terminal
from mail.addresses import split_address
from mail.bounce_address import BounceAddresses
from mail.parse_headers import Message
from mail.reports.write_dsn import may_be_told
from processors.apply_policy import apply_policy
from processors.decide_report import decide_report
from processors.decision import Consequences, Decision, ReadMail
from processors.detect_loop import MAX_RECEIVED, detect_loop
from processors.detect_loop import REPLY as LOOP_REPLY
from processors.find_channel import find_channel
from processors.route import handle_polled, route
from processors.skip_mail import why_skipped
from processors.summarise import readable_headers, summarise

ANSWERED = " (answered "  # how the detail of a refusal says what the sender heard
Prepend = Callable[[str], tuple[str, list[tuple[int, int]]]]  # recipient -> header lines, octet ranges to leave out


def decide_inbound(
    mail: ReadMail, auth: AuthResults, settings: Settings, bounces: BounceAddresses, now: datetime, prepend: Prepend
) -> Consequences:
    """Policy, loops and routes for each recipient. The dialogue refuses only what every recipient refuses; a refusal that
    the sender does not hear (beside recipients that accept, or answered already) is logged with `late`. Whether the verdict comes in
    time only the receiver knows: see `decide_answered`."""
    envelope = mail.envelope
    summary = summarise(envelope, mail.message, auth, "")
    found = []
    for recipient in envelope.recipients:
        channel = envelope.channel or find_channel(recipient, settings.channels)
        one = msgspec.structs.replace(summary, channel=channel)
        decision = _decide(mail, auth, recipient, one, settings, bounces)
        handler = decision.targets[0] if decision.action is Action.HANDLE else ""
        key = mail.answers.of(recipient, handler) or summary.reference
        found.append((recipient, msgspec.structs.replace(one, reference=key), decision))
    out = Consequences()
    if envelope.verdict_partition is not None:
        refused = [decision.reply for _, _, decision in found]
        temporary = next(
            (reply for reply in refused if reply[:1] == "4"), ""
        )  # what one may get later outlives what none gets
        heard = all(refused) and not envelope.answered
        out.reply = (temporary or refused[0]) if heard else accepted_reply(envelope.mail_id)
    headers = readable_headers(mail.message, len(envelope.recipients))
    for recipient, summary, decision in found:
        if decision.status is Status.REJECTED:
            out.events.append(_rejected(mail, auth, recipient, summary, decision, now, headers, out.reply))
            continue
        received = Decision(Status.RECEIVED, decision.arrival)
        out.events.append(_event(mail, recipient, summary, received, envelope.received_at, auth, headers))
        out.news += decision.news
        if decision.action is not None:
            out.commands.append(_command(mail, auth, recipient, summary, decision, settings, prepend))
        else:
            out.events.append(_event(mail, recipient, summary, decision, now))
    return out


def decide_answered(refusals: list[MailEvent], reply: str) -> Consequences:
    """The receiver's word that it gave this reply without waiting any longer: refusals that the sender was to hear are late."""
    events = [
        msgspec.structs.replace(
            event, late=True, detail=f"{event.detail.partition(ANSWERED)[0]}{ANSWERED}{reply}, before this was decided)"
        )
        for event in refusals
        if event.status is Status.REJECTED and not event.late
    ]
    return Consequences(events)


def decide_refused(envelope: Envelope) -> Consequences:
    """A recipient that the receiver refused before DATA: a row of the log, no message."""
    assert envelope.refusal is not None
    if envelope.polled:  # nobody was answered
        failed = Decision(Status.FAILED, envelope.refusal.reply, reason=envelope.refusal.reason)
        return Consequences([_without_message(envelope, one, failed) for one in envelope.recipients])
    detail = f"answered {envelope.refusal.reply}"
    if envelope.refusal.more:
        detail += f"; and {envelope.refusal.more} more recipients of this peer, within a minute"
    decision = Decision(Status.REJECTED, detail, reason=envelope.refusal.reason)
    return Consequences([_without_message(envelope, one, decision) for one in envelope.recipients])


def decide_unusable(envelope: Envelope, why: str) -> Consequences:
    """A mail that crashed the processors: held as a dead letter, and `failed` in the log. The sender hears 250: we have it."""
    detail = f"the message is kept in mail.deadletter ({why}); replay it after the cause is mended"
    decision = Decision(Status.FAILED, detail, reason=Reason.INTERNAL_ERROR)
    events = [_without_message(envelope, one, decision) for one in envelope.recipients]
    return Consequences(events, [], accepted_reply(envelope.mail_id) if envelope.verdict_partition is not None else "")


def _decide(
    mail: ReadMail,
    auth: AuthResults,
    recipient: str,
    summary: Summary,
    settings: Settings,
    bounces: BounceAddresses,
) -> Decision:
    received_at = mail.envelope.received_at
    if detect_loop(mail.message, "" if mail.envelope.polled else recipient):
        detail = f"the message has been here before, or has more than {MAX_RECEIVED} Received headers"
        return Decision(Status.REJECTED, detail, reason=Reason.LOOP, reply=LOOP_REPLY)
    domain = split_address(recipient)[1]
    policy = settings.inbound.domains.get(domain)
    judged = policy is not None and not mail.envelope.polled  # who polls does not hear a dialogue
    refusal = apply_policy(auth, policy) if judged and policy is not None else None
    if refusal is not None and policy is not None and not policy.monitor:
        return refusal
    decision = decide_report(mail, auth, recipient, settings, bounces)
    if decision is None:
        decision = handle_polled(mail.envelope, settings) or route(recipient, summary, mail.message, auth, settings)
        channel = settings.channels.get(summary.channel)
        skipped = (
            why_skipped(mail, summary, channel) if decision.action is Action.HANDLE and channel is not None else None
        )
        if skipped is not None:
            decision = Decision(Status.SKIPPED, skipped[1], decision.arrival, skipped[0])
        if decision.action is Action.FORWARD:
            rewritten = bounces.srs(summary.envelope_from, domain, received_at)
            decision = replace(decision, envelope_from=rewritten)
    if refusal is not None:
        would = f"; monitor: would have been refused ({refusal.reason}): {refusal.detail}"
        decision = replace(decision, arrival=decision.arrival + would)
    return decision


def _rejected(
    mail: ReadMail,
    auth: AuthResults,
    recipient: str,
    summary: Summary,
    decision: Decision,
    now: datetime,
    headers: list[tuple[str, str]],
    reply: str,
) -> MailEvent:
    heard = bool(reply) and reply[0] != "2"
    told = f"{ANSWERED}{reply or '250 before this was decided'})"
    if mail.envelope.polled:
        heard, told = True, " (found in a mailbox: its sender is not told)"
    decision = replace(decision, detail=decision.detail + told)
    return _event(mail, recipient, summary, decision, now, auth, headers, late=not heard)


def _command(
    mail: ReadMail,
    auth: AuthResults,
    recipient: str,
    summary: Summary,
    decision: Decision,
    settings: Settings,
    prepend: Prepend,
) -> Dispatch:
    assert decision.action is not None
    lines, cut = prepend(recipient) if decision.action is Action.FORWARD else ("", [])
    return Dispatch(
        mail_id=mail.envelope.mail_id,
        recipient=recipient,
        direction=Direction.INBOUND,
        action=decision.action,
        expires_at=mail.envelope.received_at + settings.delivery.expire,
        raw=mail.raw,
        mail=summary,
        envelope_from=decision.envelope_from,
        targets=[Target(address=address) for address in decision.targets],
        notify=decision.action is Action.FORWARD and _may_hear_of_failure(mail, auth),
        smtputf8=mail.needs_smtputf8 or (mail.envelope.smtputf8 and not lines.isascii()),
        prepend=lines,
        cut=cut,
    )


def _may_hear_of_failure(mail: ReadMail, auth: AuthResults) -> bool:
    """Whether a report would get to who really sent it: nobody is told of mail that somebody else sent in their name. A signature (and so
    DMARC) answers for the author, who may write any envelope sender: it has to be one of the author's domain, or SPF's pass."""
    of_author = auth.dmarc_word == "pass" and auth.spf.alignment in (Alignment.STRICT, Alignment.RELAXED)
    known = of_author or (auth.dmarc_word in ("pass", "none") and auth.spf_word == "pass")
    return known and may_be_told(mail.message, mail.envelope.envelope_from)


def _event(
    mail: ReadMail,
    recipient: str,
    summary: Summary,
    decision: Decision,
    moment: datetime,
    auth: AuthResults | None = None,
    headers: list[tuple[str, str]] | None = None,
    *,
    late: bool = False,
) -> MailEvent:
    """`auth` and `headers` stand on the first event of a mail only."""
    return MailEvent(
        mail_id=mail.envelope.mail_id,
        recipient=recipient,
        direction=Direction.INBOUND,
        status=decision.status,
        terminal=is_terminal(decision.status),
        late=late,
        occurred_at=moment,
        reason=decision.reason,
        detail=decision.detail[:2000],
        mail=summary,
        raw=mail.raw,
        auth=auth,
        headers=headers or [],
    )


def _without_message(envelope: Envelope, recipient: str, decision: Decision) -> MailEvent:
    return MailEvent(
        mail_id=envelope.mail_id,
        recipient=recipient,
        direction=envelope.direction,
        status=decision.status,
        terminal=True,
        occurred_at=envelope.received_at,
        reason=decision.reason,
        detail=decision.detail,
        mail=summarise(envelope, Message([], b"", []), None, envelope.channel),
    )
