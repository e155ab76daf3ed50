"""Telling a sender what became of its mail (RFC 5321 section 6.1): a delivery status notification (RFC 3464) in a report
(RFC 6522), and to whom none may be sent (RFC 5321 section 4.5.5, RFC 3834 section 2)."""

import re
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage, Message
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from mail.parse_headers import Message as ParsedMessage
from mail.reports.report import Action

_LISTS = frozenset({b"list-id", b"list-unsubscribe", b"list-post", b"list-help", b"x-loop", b"x-autoreply"})
_BULK = frozenset({"bulk", "junk", "list", "auto_reply"})
_LINE = re.compile(r"[\x00-\x1f\x7f]+")
LONGEST = 900  # characters of a line that a stranger has written
_WORDS = {
    Action.FAILED: (
        "Undelivered mail returned to sender",
        "Your message could not be delivered to one or more recipients.",
    ),
    Action.DELAYED: (
        "Delayed mail, still being tried",
        "Your message could not be delivered yet. It is tried again: you need not send it again.",
    ),
    Action.RELAYED: (
        "Mail was passed on",
        "Your message was taken by the recipient's mail server. Of what it does with it, no report may come.",
    ),
}
# Enhanced status codes (RFC 3463) where no server gave one: without a reply, and with one.
_STATUS = {Action.FAILED: ("5.4.7", "5.0.0"), Action.DELAYED: ("4.4.1", "4.0.0"), Action.RELAYED: ("2.0.0", "2.0.0")}


@dataclass(frozen=True)
class ToldRecipient:
    """What became of one recipient. `text` is the remote server's answer; `code` 0: nobody answered."""

    address: str  # as the sender addressed it, to us
    status: str  # enhanced status code (RFC 3463); "" when the server gave none
    code: int
    text: str
    host: str
    action: Action = Action.FAILED  # or DELAYED, or RELAYED
    original: str = ""  # ORCPT of RFC 3461: a type, a semicolon, and an address
    retry_until: datetime | None = None  # delayed: when it will be given up


@dataclass(frozen=True)
class ToldMail:
    """The mail that the report is about."""

    envelope_from: str
    from_address: str
    subject: str
    message_id: str
    arrived_at: datetime
    envelope_id: str = ""  # ENVID of RFC 3461


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
    mail: ToldMail, told: list[ToldRecipient], reporter: str, author: str, message_id: str, now: datetime
) -> bytes:
    """The message, with CRLF line ends. `reporter` is our host name, `author` the address that it comes from. All recipients have the
    same action."""
    report = EmailMessage(policy=SMTP)
    report["From"] = f"Mail Delivery System <{author}>"
    report["To"] = _one_line(mail.envelope_from)
    report["Subject"], sentence = _WORDS[told[0].action]
    report["Date"] = format_datetime(now)
    report["Message-ID"] = f"<{message_id}>"
    report["Auto-Submitted"] = "auto-replied"
    if mail.message_id:
        report["In-Reply-To"] = report["References"] = f"<{_one_line(mail.message_id)[:900]}>"
    report.set_content(_explain(mail, told, sentence, reporter), cte="quoted-printable")
    report.make_mixed(boundary=f"={message_id.partition('@')[0]}=")
    report.set_type("multipart/report")
    report.set_param("report-type", "delivery-status")
    report.attach(_status(mail, told, reporter))
    report.attach(_headers(mail))
    return report.as_bytes(policy=SMTP)


def _explain(mail: ToldMail, told: list[ToldRecipient], sentence: str, reporter: str) -> str:
    lines = [
        f"This is the mail system at {reporter}.",
        "",
        sentence,
    ]
    for one in told:
        said = f"{one.host} answered: {one.code} {one.text}" if one.code else one.text
        lines += ["", f"<{_one_line(one.address)}>: {_one_line(said)[:LONGEST]}"]
        lines += [f"It is tried until {format_datetime(one.retry_until)}."] if one.retry_until is not None else []
    lines += ["", f"Subject: {_one_line(mail.subject)}", f"Received here: {format_datetime(mail.arrived_at)}", ""]
    return "\n".join(lines)


def _status(mail: ToldMail, told: list[ToldRecipient], reporter: str) -> Any:
    """message/delivery-status (RFC 3464 section 2): one group of fields for the message, one for each recipient."""
    groups: list[Any] = [
        _fields(
            ("Original-Envelope-Id", _ascii(mail.envelope_id)),
            ("Reporting-MTA", f"dns; {reporter}"),
            ("Arrival-Date", format_datetime(mail.arrived_at)),
        )
    ]
    for one in told:
        diagnostic = f"smtp; {one.code} {_ascii(one.text)[:LONGEST]}" if one.code else ""
        groups.append(
            _fields(
                ("Original-Recipient", _ascii(one.original)),
                ("Final-Recipient", f"rfc822; {_ascii(one.address)}"),
                ("Action", one.action.value),
                ("Status", one.status or _STATUS[one.action][bool(one.code)]),
                ("Remote-MTA", f"dns; {_ascii(one.host)}" if one.host else ""),
                ("Diagnostic-Code", diagnostic),
                ("Will-Retry-Until", format_datetime(one.retry_until) if one.retry_until is not None else ""),
            )
        )
    part = Message()
    part["Content-Type"] = "message/delivery-status"
    part.set_payload(groups)
    return part


def _headers(mail: ToldMail) -> Any:
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
    """Others' words on one line: nothing of theirs begins a header, also not within an encoded word (RFC 2047), which `email` decodes and
    folds."""
    return _LINE.sub(" ", text.encode("utf-8", "replace").decode("utf-8")).replace("=?", "= ?").strip()
