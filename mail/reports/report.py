"""What a report about a mail says, whoever wrote it and in whatever form.

Anybody can write a report. It proves nothing until it names a mail of ours, by a bounce address that only we can make.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mail.bounces.reply import Reply

MAX_REPORT = 4 * 1024 * 1024  # octets that are read
MAX_RECIPIENTS = 1000
MAX_TEXT = 256 * 1024  # characters of one part that are read
MAX_SAID = 4000  # characters of an answer that are kept
MAX_VALUE = 1000  # characters of any other value that are kept


class ReportKind(StrEnum):
    DSN = "dsn"  # delivery status notification (RFC 3464)
    ARF = "arf"  # a complaint of a recipient, by a feedback loop (RFC 5965)
    FREEFORM = "freeform"  # a bounce in words for people
    AUTO_REPLY = "auto_reply"  # a person's automatic answer (RFC 3834): the mail arrived
    CHALLENGE = "challenge"  # the recipient's server asks the sender to confirm
    MDN = "mdn"  # read or deleted (RFC 8098): the mail arrived
    NONE = "none"  # no report


class Action(StrEnum):
    """What became of the mail for a recipient (RFC 3464 section 2.3.3)."""

    FAILED = "failed"  # given up
    DELAYED = "delayed"  # still being tried
    DELIVERED = "delivered"
    RELAYED = "relayed"  # passed to a server that sends no notifications
    EXPANDED = "expanded"  # passed on to several, such as a list
    NONE = ""  # not said


@dataclass(frozen=True)
class Finding:
    """What a report says of one recipient. Values that it does not give are empty."""

    recipient: str  # as the reporting server knows it
    original_recipient: str = ""  # as the sender addressed it, where that differs
    action: Action = Action.NONE
    status: str = ""  # Status of a DSN: an enhanced status code, which often says less than the reply
    reply: Reply = field(default_factory=Reply)  # what was said: `mail.bounces.classify.classify_reply` takes it
    retry_until: datetime | None = None  # delayed: when it will be given up


@dataclass(frozen=True)
class ReturnedMail:
    """What a report gives back of the mail that it is about."""

    message_id: str = ""  # without its angle brackets
    from_address: str = ""  # of its From header
    to_addresses: tuple[str, ...] = ()  # of its To and Cc headers
    subject: str = ""
    envelope_from: str = ""  # of its Return-Path, or as the report names it
    bounce_addresses: tuple[str, ...] = ()  # what looks like a bounce address of ours; its MAC is to be checked


@dataclass(frozen=True)
class Report:
    """One report. `complete` is False where something was cut or left out."""

    kind: ReportKind
    findings: tuple[Finding, ...] = ()
    returned: ReturnedMail = field(default_factory=ReturnedMail)
    reporter: str = ""  # name of the server that reports (Reporting-MTA)
    envelope_id: str = ""  # ENVID of the submission (RFC 3461 section 4.4)
    feedback_type: str = ""  # ARF: abuse, fraud, opt-out, not-spam ...
    source_ip: str = ""  # ARF: who brought the mail
    disposition: str = ""  # MDN: displayed, deleted ...
    text: str = ""  # what the report says to people
    complete: bool = True
