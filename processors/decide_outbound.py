"""What becomes of a mail of ours: for each recipient one event, and a delivery for those that get it. Pure."""

from collections.abc import Mapping
from datetime import datetime

from contracts import clock
from contracts.events import Action, Bounce, Dispatch, MailEvent, RecipientState, Summary, Target
from contracts.raw_message import accepted_reply
from contracts.settings import Settings
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status, is_terminal
from mail.addresses import split_address
from mail.bounce_address import BounceAddresses
from processors.begin_round import round_of
from processors.count_quotas import Grant
from processors.decision import Consequences, Decision, ReadMail
from processors.offer_unsubscribe import WriteOffer
from processors.summarise import readable_headers

# RFC 3463: what a program that submits hears where nobody gets the mail.
_REPLIES = {
    Reason.INVALID_ADDRESS: "550 5.1.3",
    Reason.MESSAGE_TOO_LARGE: "552 5.3.4",
    Reason.CONFIGURATION_ERROR: "550 5.3.5",
}
_REPLY = "550 5.7.1"


def decide_outbound(
    mail: ReadMail,
    summary: Summary,
    refusals: Mapping[str, Decision],
    before: Mapping[str, MailEvent],
    settings: Settings,
    bounces: BounceAddresses,
    now: datetime,
    offer: WriteOffer = lambda recipient: "",
) -> Consequences:
    """Each recipient gets an event: its refusal's, the one of before (a decision is made once), or `sent`, and then a command whose
    envelope sender finds the mail again (VERP)."""
    envelope = mail.envelope
    out = Consequences()
    headers = readable_headers(mail.message, len(envelope.recipients))
    sent = Decision(Status.SENT, f"accepted from {envelope.user or 'an application'} over {envelope.protocol}")
    for recipient in envelope.recipients:
        event = before.get(recipient)
        if event is None:
            decision = refusals.get(recipient, sent)
            moment = envelope.received_at if decision is sent else now
            event = _event(mail, recipient, summary, decision, moment, headers)
        out.events.append(event)
        if event.status is Status.SENT:
            out.commands.append(_command(mail, recipient, summary, settings, bounces, offer))
        else:
            state = RecipientState(recipient=recipient, status=event.status, reason=event.reason, detail=event.detail)
            out.refused.append(state)
    if envelope.verdict_partition is not None:
        out.reply = _reply(envelope.mail_id, out)
    return out


def beyond_quota(grant: Grant | None, recipients: list[str], domain: str, reached: int = 0) -> dict[str, Decision]:
    """The recipients that the quota of their sender leaves nothing for: the last ones. `reached`: other recipients of the mail, who have
    got it from the same grant."""
    left = max(0, grant.recipients - reached) if grant is not None else len(recipients)
    if grant is None or left >= len(recipients):
        return {}
    detail = (
        f"{domain} may send to {grant.limit.limit} recipients in one {grant.limit.per}: "
        f"the quota renews at {clock.rfc3339(grant.renews_at)}"
    )
    decision = Decision(Status.FAILED, detail, reason=Reason.QUOTA_EXCEEDED)
    return dict.fromkeys(recipients[left:], decision)


def _reply(mail_id: str, out: Consequences) -> str:
    if not out.refused:
        return accepted_reply(mail_id)
    first = out.refused[0]
    named = f"{first.recipient}: {first.reason}".encode("ascii", "replace").decode()
    others = f" and {len(out.refused) - 1} more" if len(out.refused) > 1 else ""
    if out.commands:
        return f"{accepted_reply(mail_id)}, but not for {named[:200]}{others}"
    return (
        f"{_REPLIES.get(first.reason or Reason.UNKNOWN_ERROR, _REPLY)} Not sent ({named[:200]}{others}), see {mail_id}"
    )


def _command(
    mail: ReadMail, recipient: str, summary: Summary, settings: Settings, bounces: BounceAddresses, offer: WriteOffer
) -> Dispatch:
    envelope = mail.envelope
    domain = split_address(envelope.envelope_from)[1] or split_address(summary.from_)[1]
    return Dispatch(
        mail_id=envelope.mail_id,
        recipient=recipient,
        direction=Direction.OUTBOUND,
        action=Action.DELIVER,
        expires_at=envelope.received_at + settings.delivery.expire,
        raw=mail.raw,
        mail=summary,
        # A report has the null sender, and nobody is told when it does not arrive (RFC 3464 section 2).
        envelope_from=bounces.verp(envelope.mail_id, recipient, domain, round_of(envelope, recipient))
        if envelope.envelope_from
        else "",
        targets=[Target(address=recipient)],
        notices=envelope.notices.get(recipient) if envelope.envelope_from else None,
        smtputf8=mail.needs_smtputf8,
        prepend=offer(recipient),
    )


def _event(
    mail: ReadMail,
    recipient: str,
    summary: Summary,
    decision: Decision,
    moment: datetime,
    headers: list[tuple[str, str]],
) -> MailEvent:
    return MailEvent(
        mail_id=mail.envelope.mail_id,
        recipient=recipient,
        direction=Direction.OUTBOUND,
        status=decision.status,
        terminal=is_terminal(decision.status),
        occurred_at=moment,
        reason=decision.reason,
        detail=decision.detail[:2000],
        mail=summary,
        bounce=_SUPPRESSED if decision.reason is Reason.SUPPRESSED else None,
        raw=mail.raw,
        headers=headers,
    )


_SUPPRESSED = Bounce(
    bounce_type=BounceType.ADMIN, bounce_class=BounceClass.SUPPRESSED, rule="ours.suppressed", rules_version=""
)
