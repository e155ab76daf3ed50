"""What a bounce does to the suppression list: pure. Only what is about the recipient does anything (design section 4)."""

from datetime import timedelta

from contracts.events import MailEvent
from contracts.statuses import BounceClass, Direction, Status
from contracts.suppressions import SuppressionChange, SuppressionReason

BY = "outcomes"  # who the history names
FULL = timedelta(days=3)  # for which a full mailbox is left alone
NOTE = 500  # characters of the server's answer
_BY_CLASS = {
    BounceClass.INVALID_RECIPIENT: ("added", SuppressionReason.INVALID_RECIPIENT, None),
    BounceClass.INVALID_DOMAIN: ("added", SuppressionReason.INVALID_DOMAIN, None),
    BounceClass.INACTIVE_MAILBOX: ("seen", SuppressionReason.INACTIVE_MAILBOX, None),
    BounceClass.MAILBOX_FULL: ("added", SuppressionReason.MAILBOX_FULL, FULL),
}


def suppress(event: MailEvent) -> SuppressionChange | None:
    """The change that follows from an event; None for one that is no final bounce of ours, or not about the recipient."""
    if event.direction is not Direction.OUTBOUND or event.status is not Status.DELIVERY_FAILED or event.bounce is None:
        return None
    if event.bounce.bounce_class not in _BY_CLASS:
        return None
    action, reason, lasts = _BY_CLASS[event.bounce.bounce_class]
    return SuppressionChange(
        action=action,
        at=event.occurred_at,
        by=BY,
        mail_id=event.mail_id,
        recipient=event.recipient,
        note=(event.bounce.text or event.detail)[:NOTE],
        reason=reason,
        expires_at=event.occurred_at + lasts if lasts is not None else None,
    )
