"""What stages say to each other: the data of every CloudEvent on every topic.

Structs are strict: an unknown field, a missing field or a wrong type is an `InvalidEvent` at the reader. The JSON
Schemas under docs/schemas/ are generated from these types.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct, field

from contracts.auth_results import AuthResults
from contracts.metadata import Metadata
from contracts.notices import Notices
from contracts.rounds import Round, RoundNumber
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status

Count = Annotated[int, Meta(ge=0)]


class Summary(Metadata, frozen=True, kw_only=True):
    """The mail in short. Every event carries it, so that any one event can stand as a complete row of the log."""

    from_: str = field(name="from", default="")  # address of the From header, lower-cased domain; "" when there is none
    from_name: str = ""  # display name of the From header, decoded
    envelope_from: str = ""  # MAIL FROM; "" is the null sender
    subject: str = ""  # decoded, at most 998 characters
    message_id: str = ""  # without its angle brackets
    channel: str = ""
    received_at: datetime  # when ingest held it, UTC
    size: Count = 0  # octets of the message as received
    peer_ip: str = ""
    helo: str = ""
    spf: str = "none"  # words of RFC 8601
    dkim: str = "none"
    dmarc: str = "none"
    arc: str = "none"
    iprev: str = "none"
    source: str = ""  # who delivers it, where that is not us: the name that another mail server reports under
    source_id: str = ""  # its name there, such as a queue id


class Outcome(StrEnum):
    ACCEPTED = "accepted"  # the other side took it
    TEMPORARY = "temporary"  # it may work later
    PERMANENT = "permanent"  # it will not work
    SKIPPED = "skipped"  # a handler declined


class Attempt(Struct, frozen=True, kw_only=True):
    """What one attempt for one target did, with the other side's whole answer."""

    number: Count  # 1 is the first
    target: str  # an address, or the name of a handler
    outcome: Outcome
    started_at: datetime
    duration_ms: Count = 0
    host: str = ""  # name of the server that answered
    servers: list[
        str
    ] = []  # all that the domain's MX records named, best first; told once for the targets of one domain
    ip: str = ""
    port: Count = 0
    tls: str = ""  # such as "TLSv1.3 TLS_AES_256_GCM_SHA384 verified"; "" is a connection in the clear
    command: str = (
        ""  # the SMTP command that was answered (connect, EHLO, STARTTLS, MAIL, RCPT, DATA, end-of-data) or POST
    )
    code: Count = 0  # SMTP reply code or HTTP status; 0 when nobody answered
    enhanced_code: str = ""  # RFC 3463
    text: str = ""  # the answer as it was given, lines joined by LF
    reason: Reason | None = None  # set where our side decided (unroutable, expired, configuration_error ...)
    reference: str = ""  # the key that a handler gave
    next_attempt_at: datetime | None = None


class Bounce(Struct, frozen=True, kw_only=True):
    """The classification of a refusal, with its evidence and the rule that decided."""

    bounce_type: BounceType
    bounce_class: BounceClass
    rule: str  # id of the rule that decided
    rules_version: str
    code: Count = 0
    enhanced_code: str = ""
    text: str = ""
    command: str = ""
    host: str = ""


class MailEvent(Struct, frozen=True, kw_only=True):
    """One event of one mail for one recipient: a line of the timeline (topic `mail.events`)."""

    mail_id: str
    recipient: str  # as addressed to us (inbound), as sent to (outbound)
    direction: Direction
    status: Status
    terminal: bool
    late: bool = False
    occurred_at: datetime
    round: RoundNumber = 0  # how often it had been redelivered by then
    attempt: Count = 0  # 0 before any attempt of the round
    reason: Reason | None = None
    detail: str = ""  # one sentence for people
    mail: Summary
    bounce: Bounce | None = None
    attempts: list[Attempt] = []  # what this attempt did, one for each target
    next_attempt_at: datetime | None = None
    raw: "RawPointer | None" = None
    auth: AuthResults | None = None  # on the first event of a mail only
    headers: list[tuple[str, str]] = []  # on the first event of a mail only; capped


def decisive_answer(event: MailEvent) -> Bounce | Attempt | None:
    """The answer that an event's status follows from: of several targets, the one that refused. None before any attempt."""
    return event.bounce or (event.attempts[-1] if event.attempts else None)


class StatusChange(Struct, frozen=True, kw_only=True):
    """A change of status of a mail for a recipient. **Public**: topics `mail.status.inbound` and `mail.status.outbound`."""

    mail_id: str
    recipient: str
    direction: Direction
    status: Status
    terminal: bool  # no further change is expected (a late bounce may still come)
    late: bool  # it came after the sender had been told otherwise
    occurred_at: datetime
    received_at: datetime
    round: RoundNumber = 0  # how often it has been redelivered; a later round takes the word of the one before back
    attempt: Count
    reason: Reason | None
    detail: str
    from_: str = field(name="from")
    envelope_from: str
    subject: str
    message_id: str
    reference: str
    channel: str
    stream: str
    template: str
    tag: str
    source: str  # who delivers it, where that is not us
    size: Count
    spf: str
    dkim: str
    dmarc: str
    bounce_type: BounceType | None
    bounce_class: BounceClass | None
    smtp_code: Count | None  # reply code of the answer that decided; null when there was none
    enhanced_code: str | None
    smtp_text: str | None
    host: str | None  # the server that gave that answer
    next_attempt_at: datetime | None


class RawPointer(Struct, frozen=True, kw_only=True):
    """Where the record with the whole message stands in Kafka."""

    topic: str
    partition: Count
    offset: Count


class Action(StrEnum):
    DELIVER = "deliver"  # outbound, to the recipient's own server
    FORWARD = "forward"  # inbound, on to other addresses
    HANDLE = "handle"  # inbound, to a webhook or a Python function


class Target(Struct, frozen=True, kw_only=True):
    """One destination of a command and what became of it so far."""

    address: str
    settled: Attempt | None = None  # the attempt that settled it; null while it is pending


class Dispatch(Struct, frozen=True, kw_only=True):
    """A command for one recipient of one mail (topic `mail.dispatch` and its retry topics)."""

    mail_id: str
    recipient: str
    direction: Direction
    action: Action
    again: Round | None = None  # the redelivery that it belongs to
    attempt: Annotated[int, Meta(ge=1)] = 1  # number of the attempt that this command asks for
    parked: Count = 0  # how often it was put back untried, because its destination did not answer or was busy
    not_before: datetime | None = None  # on a retry topic: when it is due
    expires_at: datetime  # no new attempt after this
    raw: RawPointer
    mail: Summary
    envelope_from: str = ""  # as it goes on the wire: SRS for forwards, VERP for outbound mail; "" is the null sender
    targets: Annotated[list[Target], Meta(min_length=1)]  # addresses, or the one handler's name
    notify: bool = False  # a final failure is told to its sender (RFC 5321 section 6.1)
    notices: Notices | None = None  # the reports that its submitter has asked for and has not had yet
    smtputf8: bool = False  # the message's own headers need SMTPUTF8 (RFC 6531); its addresses say so themselves
    prepend: str = ""  # header lines (CRLF) put before the untouched original
    cut: list[tuple[int, int]] = []  # octet ranges left out of the original: incoming headers that claim to be ours

    @property
    def round(self) -> int:
        """How often the mail has been redelivered."""
        return self.again.number if self.again is not None else 0


class AttemptReport(Struct, frozen=True, kw_only=True):
    """What one attempt did for every target that it tried (topic `mail.attempts`)."""

    mail_id: str
    recipient: str
    direction: Direction
    action: Action
    round: RoundNumber = 0  # as in the command
    attempt: Count  # 0: not tried yet, and why
    occurred_at: datetime
    mail: Summary
    raw: RawPointer | None  # null: we do not have the message, another mail server delivers it
    attempts: list[Attempt]  # this attempt, one for each target tried
    targets: list[Target]  # all targets, with what settled them
    notify: bool = False  # a final failure is told to its sender
    notices: Notices | None = None  # as in the command
    is_late: bool = False  # its submitter is to be told now that it is
    next_attempt_at: datetime | None = None  # null: nothing is left to try


class LateNews(Struct, frozen=True, kw_only=True):
    """What came back about a mail that we sent: a bounce, a delay, a complaint, an unsubscription (topic `mail.attempts`)."""

    mail_id: str  # of the mail that it is about
    recipient_digest: str  # which of its recipients (mail/bounce_address.py)
    round: RoundNumber = 0  # which of its deliveries
    status: Status  # delivery_failed, deferred, complained or unsubscribed
    occurred_at: datetime
    report_id: str = ""  # mail_id of the report; "" where it came otherwise
    bounce: Bounce | None = None
    reason: Reason | None = None
    detail: str  # one sentence for people


class RecipientState(Struct, frozen=True, kw_only=True):
    """What has become of one recipient of a mail that was handed over to be sent."""

    recipient: str
    status: Status
    reason: Reason | None = None
    detail: str = ""  # one sentence for people


class Verdict(Struct, frozen=True, kw_only=True):
    """What the door that holds a mail shall answer (topic `mail.verdicts`)."""

    mail_id: str
    reply: str  # to SMTP: "250 2.0.0 ..." or "550 5.7.26 ..."
    decided_at: datetime
    refused: list[RecipientState] = []  # outbound: the recipients that nothing is sent to, and why


class DeadLetter(Struct, frozen=True, kw_only=True):
    """Why a record could not be used; its untouched bytes are the value, this stands in the headers."""

    stage: str
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int


class ChannelState(StrEnum):
    CONNECTED = "connected"  # logged in, and the folder is open
    RECOVERED = "recovered"  # the same after a gap
    AUTH_FAILED = "auth_failed"  # the server refuses the log-in
    DNS_FAILED = "dns_failed"  # its name cannot be looked up
    TLS_FAILED = "tls_failed"  # no secure connection: a certificate that is expired or of somebody else, for one
    CONNECTION_DROPPED = "connection_dropped"  # refused, reset, silent, or not what IMAP allows
    THROTTLED = "throttled"  # the server asks for less
    REFUSED = "refused"  # logged in, but the folder is not given


WORKING = frozenset({ChannelState.CONNECTED, ChannelState.RECOVERED})


class Connectivity(Struct, frozen=True, kw_only=True):
    """The health of a channel changed (topic `mail.connectivity`). A gap is told when it begins, and again when it is over."""

    channel: str
    state: ChannelState
    occurred_at: datetime
    ended_at: datetime | None = None  # of a gap that is over
    detail: str = ""  # the server's text
    delayed: Count = 0  # mails that arrived in the mailbox during the gap, and here after it
    delayed_mails: list[str] = []  # their ids, in the order in which they were taken; the first 1,000
