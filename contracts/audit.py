"""What people and programs did with the log that others may ask about: who, what, to which mail, when, and from where."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from contracts.clock import from_ms
from contracts.ids import new_mail_id, received_ms


class AuditAction(StrEnum):
    READ_RAW = "read_raw"  # the message itself was shown or downloaded
    ADDRESSES_REVEALED = "addresses_revealed"  # those of one mail, to who sees them masked otherwise
    EXPORTED = "exported"  # rows of the log, or the suppression list
    REDELIVERED = "redelivered"  # a mail was sent again, or run again
    SUPPRESSED = "suppressed"  # an address was put on the suppression list
    UNBLOCKED = "unblocked"  # an address was taken off it
    PREFERENCE_CHANGED = "preference_changed"  # what a recipient wishes was written down, or forgotten
    RECEIPT_MADE = "receipt_made"  # a page about a mail for whoever has its link
    ERASED = "erased"  # all mail of an address was taken out of the log, on request
    CONFIGURED = "configured"  # a console started with another configuration than the last that is known
    REPLAYED = "replayed"  # dead letters were published again
    LOGGED_IN = "logged_in"  # a person, by what the identity provider says of them
    TOKEN_USED = "token_used"  # told once an hour for each token or session
    TOKEN_CREATED = "token_created"
    TOKEN_REVOKED = "token_revoked"


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One act (topic `mail.audit`). It is written before the act, so that none goes unseen."""

    id: str  # a UUIDv7: the time of the act, and a name of its own
    at: datetime
    actor: str  # the name of the token
    actor_id: str  # the id of the token or session
    action: AuditAction
    mail_id: str = ""  # the mail that it was done to
    recipient: str = ""  # of that mail, or the address that it was done to
    detail: str = ""  # what was asked for: a search, a number, a reason
    peer_ip: str = ""  # from where


def new_act(
    action: AuditAction,
    actor: str,
    actor_id: str = "",
    *,
    mail_id: str = "",
    recipient: str = "",
    detail: str = "",
    peer_ip: str = "",
) -> AuditEntry:
    """An act of now, with a name of its own."""
    name = new_mail_id()
    return AuditEntry(
        id=name,
        at=from_ms(received_ms(name)),
        actor=actor,
        actor_id=actor_id,
        action=action,
        mail_id=mail_id,
        recipient=recipient,
        detail=detail,
        peer_ip=peer_ip,
    )
