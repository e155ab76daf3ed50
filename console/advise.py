"""Whose turn it is, and what they can do: pure, from reason, bounce class, direction and status of a row of the log."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.statuses import ADVICE as OF_REASON
from contracts.statuses import BounceClass, Direction, Reason, Status
from mail.bounces.advice import ADVICE as OF_CLASS


class Turn(StrEnum):
    US = "us"  # who runs Mailscope, or the application behind it
    SENDER = "sender"  # who wrote the mail, or whose application sends it
    RECIPIENT = "recipient"  # who it is for
    PROVIDER = "provider"  # who runs the mail server of the recipient
    NOBODY = "nobody"  # it is settled, or goes on by itself


TITLES = {
    Turn.US: "Our turn",
    Turn.SENDER: "The sender’s turn",
    Turn.RECIPIENT: "The recipient’s turn",
    Turn.PROVIDER: "Their mail provider’s turn",
    Turn.NOBODY: "Nobody’s turn",
}
OF_CLASS_TURN = {
    BounceClass.INVALID_RECIPIENT: Turn.RECIPIENT,
    BounceClass.INACTIVE_MAILBOX: Turn.RECIPIENT,
    BounceClass.INVALID_DOMAIN: Turn.RECIPIENT,
    BounceClass.MAILBOX_FULL: Turn.RECIPIENT,
    BounceClass.MESSAGE_TOO_LARGE: Turn.SENDER,
    BounceClass.DNS_FAILURE: Turn.PROVIDER,
    BounceClass.CONNECTION_FAILED: Turn.PROVIDER,
    BounceClass.TLS_FAILURE: Turn.PROVIDER,
    BounceClass.RATE_LIMITED: Turn.US,
    BounceClass.GREYLISTED: Turn.NOBODY,
    BounceClass.REPUTATION_BLOCKED: Turn.US,
    BounceClass.SPAM_CONTENT: Turn.SENDER,
    BounceClass.CONTENT_REJECTED: Turn.SENDER,
    BounceClass.ATTACHMENT_REJECTED: Turn.SENDER,
    BounceClass.VIRUS: Turn.SENDER,
    BounceClass.AUTH_FAILED: Turn.US,
    BounceClass.POLICY_REJECTED: Turn.PROVIDER,
    BounceClass.RELAY_DENIED: Turn.PROVIDER,
    BounceClass.EXPIRED: Turn.PROVIDER,
    BounceClass.PROTOCOL_ERROR: Turn.PROVIDER,
    BounceClass.ROUTING_ERROR: Turn.PROVIDER,
    BounceClass.SENDER_REJECTED: Turn.US,
    BounceClass.SUPPRESSED: Turn.US,
    BounceClass.ADMIN_CANCELLED: Turn.NOBODY,
    BounceClass.AUTO_REPLY: Turn.NOBODY,
    BounceClass.CHALLENGE: Turn.SENDER,
    BounceClass.UNKNOWN: Turn.US,
}
OF_REASON_TURN = {
    Reason.INTERNAL_ERROR: Turn.US,
    Reason.INVALID_ADDRESS: Turn.RECIPIENT,
    Reason.MESSAGE_TOO_LARGE: Turn.SENDER,
    Reason.QUOTA_EXCEEDED: Turn.SENDER,
    Reason.SUPPRESSED: Turn.US,
    Reason.PRIVATE_ADDRESS: Turn.RECIPIENT,
    Reason.PROVIDER_REJECTED: Turn.PROVIDER,
    Reason.UNSUBSCRIBED: Turn.RECIPIENT,
    Reason.CONFIGURATION_ERROR: Turn.US,
    Reason.AUTHENTICATION_ERROR: Turn.US,
    Reason.UNROUTABLE: Turn.PROVIDER,
    Reason.EXPIRED: Turn.PROVIDER,
    Reason.UNKNOWN_ERROR: Turn.US,
    Reason.UNKNOWN_RECIPIENT: Turn.SENDER,
    Reason.SPF_FAIL: Turn.SENDER,
    Reason.DKIM_FAIL: Turn.SENDER,
    Reason.DMARC_REJECT: Turn.SENDER,
    Reason.DMARC_QUARANTINE: Turn.SENDER,
    Reason.BAD_FROM: Turn.SENDER,
    Reason.AUTH_TEMPERROR: Turn.SENDER,
    Reason.POLICY: Turn.NOBODY,
    Reason.NO_ROUTE: Turn.US,
    Reason.RELAY_DENIED: Turn.SENDER,
    Reason.LOOP: Turn.US,
    Reason.RULE: Turn.NOBODY,
    Reason.REPORT: Turn.NOBODY,
    Reason.UNMATCHED: Turn.NOBODY,
    Reason.AUTO_REPLY: Turn.NOBODY,
    Reason.BULK: Turn.NOBODY,
    Reason.SENDER_BLOCKED: Turn.NOBODY,
    Reason.EMPTY: Turn.SENDER,
    Reason.DUPLICATE: Turn.NOBODY,
    Reason.HANDLER_DECLINED: Turn.NOBODY,
    Reason.HANDLER_ERROR: Turn.US,
    Reason.DESTINATION_UNAVAILABLE: Turn.NOBODY,
}
# A forward is ours: its targets stand in mailscope.yaml, and who wrote the mail can do nothing about them.
_FORWARD = {
    BounceClass.INVALID_RECIPIENT: "The address that we forward to does not exist: correct the route in mailscope.yaml.",
    BounceClass.INACTIVE_MAILBOX: "The mailbox that we forward to is disabled: correct the route in mailscope.yaml.",
    BounceClass.INVALID_DOMAIN: "The domain that we forward to takes no mail: correct the route in mailscope.yaml.",
    BounceClass.MAILBOX_FULL: "The mailbox that we forward to is full: whoever reads it has to make room.",
    BounceClass.MESSAGE_TOO_LARGE: "The target of the forward takes no message of this size: forward to another one, or set max_size.",
    BounceClass.SPAM_CONTENT: "The target of the forward takes it for spam: its administrator can trust what we forward (ARC).",
    BounceClass.AUTH_FAILED: "The target of the forward does not trust our seal: its administrator can trust it (ARC).",
}
_HANDLER = "Our own application does not take it now: whoever runs the handler has to look at it. It is tried again."
_HANDLER_EXPIRED = "Our own application did not take it in time: mend the handler, then re-run the mail."


@dataclass(frozen=True)
class Advice:
    """Whose turn it is, a title that says so, and one sentence for them."""

    turn: Turn
    title: str
    text: str


def advise(item: dict[str, Any]) -> Advice | None:
    """What can be done about a row; None where nothing is wrong, and for a reason that is not known here."""
    if item["reason"] not in frozenset(Reason):
        return None
    reason = Reason(item["reason"])
    bounce = BounceClass(item["bounce_class"]) if item["bounce_class"] in frozenset(BounceClass) else None
    turn, text = _of(reason, bounce, item)
    return Advice(turn, TITLES[turn], text)


def _of(reason: Reason, bounce: BounceClass | None, item: dict[str, Any]) -> tuple[Turn, str]:
    inbound = item["direction"] == Direction.INBOUND
    if inbound and bounce is None and reason is Reason.DESTINATION_UNAVAILABLE and item["attempts"]:
        return Turn.US, _HANDLER
    if inbound and bounce is None and reason is Reason.EXPIRED:
        return Turn.US, _HANDLER_EXPIRED
    if bounce is None or bounce is BounceClass.UNKNOWN or reason is Reason.SUPPRESSED:
        return OF_REASON_TURN[reason], OF_REASON[reason]
    if inbound:
        turn = OF_CLASS_TURN[bounce]
        return (Turn.US, _FORWARD[bounce]) if bounce in _FORWARD else (turn, OF_CLASS[bounce])
    if item["status"] == Status.DEFERRED and OF_CLASS_TURN[bounce] is Turn.PROVIDER:
        return Turn.NOBODY, OF_CLASS[bounce]  # it is being tried again
    return OF_CLASS_TURN[bounce], OF_CLASS[bounce]
