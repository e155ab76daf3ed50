"""Telling a sender that we could not pass its mail on (RFC 5321 section 6.1): a delivery status notification (RFC 3464) in a report
(RFC 6522), and to whom none may be sent (RFC 5321 section 4.5.5, RFC 3834 section 2)."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage, Message
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from mail.parse_headers import Message as ParsedMessage

_LISTS = frozenset({b"list-id", b"list-unsubscribe", b"list-post", b"list-help", b"x-loop", b"x-autoreply"})
_BULK = frozenset({"bulk", "junk", "list", "auto_reply"})
_LINE = re.compile(r"[\x00-\x1f\x7f]+")
LONGEST = 900  # characters of a line that a stranger has written


@dataclass(frozen=True)
class FailedRecipient:
    """What became of one recipient. `text` is the remote server's answer; `code` 0: nobody answered."""

    original: str  # as the sender addressed it, to us
    status: str  # enhanced status code (RFC 3463); "" when the server gave none
    code: int
    text: str
    host: str


@dataclass(frozen=True)
class FailedMail:
    """The mail that could not be passed on."""

    envelope_from: str
    from_address: str
    subject: str
    message_id: str
    arrived_at: datetime


def may_be_told(message: ParsedMessage, envelope_from: str) -> bool:
    """Whether a sender may get a report about this mail: never the null sender, an automatic answer, bulk or a mailing list."""
    if not envelope_from:
        return False
    for field in message.fields:
        if field.name in _LISTS:
            return False
        if field.name == b"auto-submitted" and field.text().partition(";")[0].strip().lower() != "no":
            return False
        if field.name == b"precedence" and field.text().strip().lower() in _BULK:
            return False
    return True


def write_dsn(
    mail: FailedMail, failed: list[FailedRecipient], reporter: str, author: str, message_id: str, now: datetime
) -> bytes:
    """The message, with CRLF line ends. `reporter` is our host name, `author` the address that it comes from."""
    report = EmailMessage(policy=SMTP)
    report["From"] = f"Mail Delivery System <{author}>"
    report["To"] = _one_line(mail.envelope_from)
    report["Subject"] = "Undelivered mail returned to sender"
    report["Date"] = format_datetime(now)
    report["Message-ID"] = f"<{message_id}>"
    report["Auto-Submitted"] = "auto-replied"
    if mail.message_id:
        report["In-Reply-To"] = report["References"] = f"<{_one_line(mail.message_id)[:900]}>"
    report.set_content(_explain(mail, failed, reporter), cte="quoted-printable")
    report.make_mixed(boundary=f"={message_id.partition('@')[0]}=")
    report.set_type("multipart/report")
    report.set_param("report-type", "delivery-status")
    report.attach(_status(mail, failed, reporter))
    report.attach(_headers(mail))
    return report.as_bytes(policy=SMTP)


def _explain(mail: FailedMail, failed: list[FailedRecipient], reporter: str) -> str:
    lines = [
        f"This is the mail system at {reporter}.",
        "",
        "Your message could not be delivered to one or more recipients.",
    ]
    for one in failed:
        said = f"{one.host} answered: {one.code} {one.text}" if one.code else one.text
        lines += ["", f"<{_one_line(one.original)}>: {_one_line(said)[:LONGEST]}"]
    lines += ["", f"Subject: {_one_line(mail.subject)}", f"Received here: {format_datetime(mail.arrived_at)}", ""]
    return "\n".join(lines)


def _status(mail: FailedMail, failed: list[FailedRecipient], reporter: str) -> Any:
    """message/delivery-status (RFC 3464 section 2): one group of fields for the message, one for each recipient."""
    groups: list[Any] = [
        _fields(("Reporting-MTA", f"dns; {reporter}"), ("Arrival-Date", format_datetime(mail.arrived_at)))
    ]
    for one in failed:
        diagnostic = f"smtp; {one.code} {_ascii(one.text)[:LONGEST]}" if one.code else ""
        groups.append(
            _fields(
                ("Final-Recipient", f"rfc822; {_ascii(one.original)}"),
                ("Action", "failed"),
                ("Status", one.status or ("5.0.0" if one.code else "5.4.7")),
                ("Remote-MTA", f"dns; {_ascii(one.host)}" if one.host else ""),
                ("Diagnostic-Code", diagnostic),
            )
        )
    part = Message()
    part["Content-Type"] = "message/delivery-status"
    part.set_payload(groups)
    return part


def _headers(mail: FailedMail) -> Any:
    part = Message()
    part["Content-Type"] = "text/rfc822-headers; charset=us-ascii"
    lines = [f"From: {_ascii(mail.from_address)}", f"Subject: {_ascii(mail.subject)}"]
    lines += [f"Message-ID: <{_ascii(mail.message_id)}>"] if mail.message_id else []
    part.set_payload("".join(f"{line}\n" for line in lines))
    return part


def _fields(*fields: tuple[str, str]) -> Message:
    group = Message()
    for name, value in fields:
        if value:
            group[name] = value
    return group


def _ascii(text: str) -> str:
    """On one line and in ASCII, as these fields are (RFC 3464 section 2.1.1); what is not becomes `?`."""
    return _one_line(text).encode("ascii", "replace").decode("ascii")


def _one_line(text: str) -> str:
    """Strangers' words on one line: nothing of theirs begins a header."""
    return _LINE.sub(" ", text.encode("utf-8", "replace").decode("utf-8")).strip()
