"""The suppression list: addresses that nothing is sent to, why, and who said so (topic `mail.suppressions`, key: the address).

An address is added by a bounce that is about the recipient (design section 4), by a complaint, or by a person; never by a refusal that is
about us, the content or a policy. Only a person removes it, or the time does.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from contracts.changes import Change, key_of, unite

REPEATED = timedelta(days=30)  # within which a sign that is seen twice suppresses


class SuppressionReason(StrEnum):
    INVALID_RECIPIENT = "invalid_recipient"  # no such mailbox
    INVALID_DOMAIN = "invalid_domain"  # no such domain, or it takes no mail
    INACTIVE_MAILBOX = "inactive_mailbox"  # disabled, found so by two mails
    MAILBOX_FULL = "mailbox_full"  # over its quota; for three days
    COMPLAINT = "complaint"  # the recipient called a mail of ours spam
    MANUAL = "manual"  # a person added it


class SuppressionChange(Change, frozen=True, kw_only=True):
    """`added`; `removed` (unblocked); `seen`: a sign that suppresses when it is seen again with another mail."""

    reason: SuppressionReason
    expires_at: datetime | None = None


class Suppression(Struct, frozen=True, kw_only=True):
    """What holds for one address, and how it came about."""

    address: str
    active: bool  # unless it has expired
    reason: SuppressionReason
    since: datetime
    expires_at: datetime | None
    note: str
    mail_id: str  # the evidence; "" where a person added it without any
    by: str
    changes: list[SuppressionChange]  # oldest first

    def holds(self, now: datetime) -> bool:
        """Whether nothing is sent to the address."""
        return self.active and (self.expires_at is None or now < self.expires_at)


def suppression_of(address: str, *changes: Iterable[SuppressionChange]) -> Suppression:
    """What these changes amount to. ValueError when there is none."""
    united = unite(_once(change for some in changes for change in some))
    if not united:
        raise ValueError("an address without a change is on no list")
    holds, last, signs = False, united[0], list[SuppressionChange]()
    for change in united:
        lasts = holds and (last.expires_at is None or change.at < last.expires_at)
        if change.action == "seen":
            signs = [one for one in signs if change.at - one.at < REPEATED and one.mail_id != change.mail_id]
            signs.append(change)
            if len(signs) > 1 and not (lasts and last.expires_at is None):
                holds, last = True, change
        elif not (lasts and change.recipient and _ends_before(change, last)):  # a bounce shortens nothing
            holds, last, signs = change.action == "added", change, []
    return Suppression(
        address=key_of(address),
        active=holds,
        reason=last.reason,
        since=last.at,
        expires_at=last.expires_at if holds else None,
        note=last.note,
        mail_id=last.mail_id,
        by=last.by,
        changes=united,
    )


def _once(changes: Iterable[SuppressionChange]) -> list[SuppressionChange]:
    """Without what one mail says again: its first bounce counts, and a hundred more push no older change out."""
    found: dict[tuple[object, ...], SuppressionChange] = {}
    for one in changes:
        said = (
            (one.action, one.by, one.mail_id, one.reason)
            if one.recipient
            else (one.action, one.by, one.mail_id, one.at)
        )
        found[said] = min(found.get(said, one), one, key=lambda each: each.at)
    return list(found.values())


def _ends_before(one: SuppressionChange, other: SuppressionChange) -> bool:
    if one.action != "added" or one.expires_at is None:
        return False
    return other.expires_at is None or one.expires_at < other.expires_at


def merge_suppressions(one: Suppression, other: Suppression) -> Suppression:
    """Both lists of changes united."""
    return suppression_of(one.address, one.changes, other.changes)
