"""A bounce, a complaint or a delivery as Amazon SES tells it by SNS: JSON in the text of a mail. Bounded, never raises."""

import msgspec

from mail.reports.read_reply import read_reply
from mail.reports.report import MAX_RECIPIENTS, MAX_VALUE, Action, Finding, Report, ReportKind, ReturnedMail

MAX_JSON = 256 * 1024  # characters


class _Recipient(msgspec.Struct, rename="camel"):
    email_address: str = ""
    status: str = ""
    diagnostic_code: str = ""


class _Bounce(msgspec.Struct, rename="camel"):
    bounce_type: str = ""
    bounced_recipients: list[_Recipient] = []


class _Complaint(msgspec.Struct, rename="camel"):
    complaint_feedback_type: str = ""
    complained_recipients: list[_Recipient] = []


class _Delivery(msgspec.Struct, rename="camel"):
    recipients: list[str] = []


class _Mail(msgspec.Struct, rename="camel"):
    source: str = ""


class _Envelope(msgspec.Struct, rename="pascal"):
    message: str = ""  # a notification, as JSON within JSON


class _Notification(msgspec.Struct, rename="camel"):
    notification_type: str = ""
    bounce: _Bounce | None = None
    complaint: _Complaint | None = None
    delivery: _Delivery | None = None
    mail: _Mail = msgspec.field(default_factory=_Mail)


def read_ses(words: str) -> Report | None:
    """The notification that stands at the beginning of the text; None where there is none."""
    start = words[:MAX_JSON].lstrip()
    if not start.startswith("{") or "notificationType" not in start:
        return None
    document = start.partition("\n--\n")[0].replace("\n ", "").replace("\n", "")  # SNS folds lines within strings
    try:
        inner = msgspec.json.decode(document, type=_Envelope).message or document
        found = msgspec.json.decode(inner, type=_Notification)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    returned = ReturnedMail(envelope_from=found.mail.source[:MAX_VALUE])
    if found.complaint is not None:
        complained = tuple(Finding(one.email_address[:MAX_VALUE]) for one in found.complaint.complained_recipients)
        feedback_type = found.complaint.complaint_feedback_type[:MAX_VALUE] or "abuse"
        return Report(ReportKind.ARF, complained[:MAX_RECIPIENTS], returned, feedback_type=feedback_type)
    if found.delivery is not None:
        delivered = tuple(Finding(one[:MAX_VALUE], action=Action.DELIVERED) for one in found.delivery.recipients)
        return Report(ReportKind.FREEFORM, delivered[:MAX_RECIPIENTS], returned)
    if found.bounce is None:
        return None
    bounced = tuple(_finding(one, found.bounce) for one in found.bounce.bounced_recipients[:MAX_RECIPIENTS])
    return Report(ReportKind.FREEFORM, bounced, returned)


def _finding(recipient: _Recipient, bounce: _Bounce) -> Finding:
    said = recipient.diagnostic_code.partition(";")[2].strip() or recipient.diagnostic_code
    status = recipient.status[:MAX_VALUE]
    temporary = True if bounce.bounce_type == "Transient" else None
    reply = read_reply(said, status=status, temporary=temporary)
    return Finding(recipient.email_address[:MAX_VALUE], action=Action.FAILED, status=status, reply=reply)
