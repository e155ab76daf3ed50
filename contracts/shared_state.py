"""State that several processes share: records of compacted topics, read whole by each process and followed (runtime/follow_table.py).

The last record of a key is what holds. No table of one process, no file of one machine: two replicas of anything agree.
"""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

KEPT = timedelta(days=1)  # how long a claim holds


class Token(Struct, frozen=True, kw_only=True):
    """An API token, or a session of the console that a log-in with one or with an identity provider began, for `mail.tokens` (key: its
    id). The token itself is kept nowhere: it is 256 random bits, and a plain SHA-256 of it gives nothing away. A revoked token stays, so
    that nothing makes it anew; a session that has ended is deleted."""

    id: str
    name: str
    sha256: str  # of the token, in hexadecimal
    scopes: list[str]
    domains: list[str]  # limits what is seen and sent; empty: all
    created_at: datetime
    revoked_at: datetime | None = None
    session_of: str = ""  # id of the token that was logged in with, or a digest of the person; empty: an API token
    issuer: str = ""  # of a person's session: the identity provider that knows them; empty: of a token
    expires_at: datetime | None = None  # when a session ends, or a token; null: when it is revoked
    networks: list[str] = []  # from where it may be used; empty: from anywhere
    masked: bool = False  # who has it sees addresses of people outside masked, and has no scope `raw`


class Claim(Struct, frozen=True, kw_only=True):
    """A claim on something that only one may have or do, for `mail.claims`. It belongs to the one that stands first in its partition.

    Each claimant's record has a key of its own (`claim_key`), and what is written over it carries the offset of the first: whatever
    compaction takes away, no claimant is forgotten and their order stays.
    """

    claim: str  # what is claimed, such as an Idempotency-Key of one application, hashed
    claimant: str  # whose it is when it stands first: the mail_id to send under
    owner: str  # the process that works on it
    fingerprint: str = (
        ""  # SHA-256 of what is to be done, in hexadecimal: the same claim for something else is an error
    )
    claimed_at: datetime
    offset: int | None = None  # where the claimant stood first; null: here
    answer: str | None = None  # what came of it; null: not done yet


class Thread(Struct, frozen=True, kw_only=True):
    """The request that a mail belongs to, for `mail.threads`: whoever answers that mail writes about the same request."""

    message_id_digest: str
    reference: str  # its key, such as IT-42
    handler: str = ""  # who gave the key; empty: the application that sent the mail
    at: datetime


class QuotaLimit(Struct, frozen=True, kw_only=True):
    """Recipients that a domain may reach in one hour or day of UTC."""

    per: Literal["hour", "day"]
    limit: int


class QuotaTicket(Struct, frozen=True, kw_only=True):
    """A mail of a domain with a quota, for `mail.quotas`: in the order of the topic, each takes what is left for its recipients. The first
    ticket of a mail counts, and the limits that it names, so that all who read it come to the same."""

    domain: str
    mail_id: str
    at: datetime  # when the mail was handed over: the windows that it counts in
    recipients: int
    limits: list[QuotaLimit]


class TakenMail(Struct, frozen=True, kw_only=True):
    """One mail of a polled mailbox, under the id that it has in the log."""

    mailbox: str  # digest of server, user and folder: UIDs mean something within one only
    uid_validity: int  # and while this stays (RFC 3501 section 2.3.1.1)
    uid: int
    mail_id: str  # "": it had been taken before, under another UID
    digest: str  # of its Message-ID and its octets: it is known again under other UIDs


class Gap(Struct, frozen=True, kw_only=True):
    """Since when a mailbox cannot be read, and why."""

    state: str
    since: datetime
    first: datetime  # of several causes, one after the other: since when there has been any
    detail: str


class MailboxNote(Struct, frozen=True, kw_only=True):
    """What the poller of a mailbox has done, for `mail.mailboxes`: who it is, and each mail that it took.

    A mail is noted, under the mail_id that it will have, before it is written to `mail.raw`, and the next one only after that: of
    whatever a poller leaves behind, the last mail alone is in doubt. Notes of a generation below the newest are void.
    """

    channel: str
    owner: str  # the process
    generation: int  # grows with each owner
    at: datetime
    settled: bool = False  # all that was taken stands in `mail.raw`
    taken: TakenMail | None = None
    gap: Gap | None = None


def note_key(note: MailboxNote) -> str:
    """The key of a note's record."""
    one = note.taken
    if one is None:  # a key for each poller: what one that was superseded writes takes no word of its successor away
        return f"{note.channel} {note.generation} {note.owner}"
    return f"{note.channel} {one.mailbox} {one.uid_validity} {one.uid} {note.generation}"


def claim_key(claim: Claim) -> str:
    """The key of the record of one claimant."""
    return f"{claim.claim} {claim.claimant}"
