"""What an event does to the suppression list and to what its recipient wishes: pure. A bounce does only what is about the recipient
(design section 4)."""

from datetime import timedelta

from contracts.events import MailEvent
from contracts.preferences import EVERY_STREAM, PreferenceChange
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
    """The change of the suppression list that follows from an event: of a complaint, or of a final bounce that is about the recipient."""
    if event.direction is not Direction.OUTBOUND:
        return None
    if event.status is Status.COMPLAINED:
        return _change(event, "added", SuppressionReason.COMPLAINT, None)
    if event.status is not Status.DELIVERY_FAILED or event.bounce is None:
        return None
    found = _BY_CLASS.get(event.bounce.bounce_class)
    return _change(event, *found) if found is not None else None


def unsubscribe(event: MailEvent) -> PreferenceChange | None:
    """The change of what the recipient wishes: no more of the mail's stream, or of any where it has none."""
    if event.status is not Status.UNSUBSCRIBED:
        return None
    return PreferenceChange(
        action="unsubscribed",
        at=event.occurred_at,
        by=BY,
        mail_id=event.mail_id,
        recipient=event.recipient,
        note=event.detail[:NOTE],
        streams=[event.mail.stream or EVERY_STREAM],
    )


def _change(event: MailEvent, action: str, reason: SuppressionReason, lasts: timedelta | None) -> SuppressionChange:
    said = event.bounce.text if event.bounce is not None else ""
    return SuppressionChange(
        action=action,
        at=event.occurred_at,
        by=BY,
        mail_id=event.mail_id,
        recipient=event.recipient,
        note=(said or event.detail)[:NOTE],
        reason=reason,
        expires_at=event.occurred_at + lasts if lasts is not None else None,
    )
