"""A message from fields (RFC 5322, RFC 2045, RFC 2047). Linear in the size of what is given, and bounded by `outgoing.py`.

The header is written here, field by field: `EmailMessage` parses and folds each of them anew for every line, which took minutes for a long
one. It makes the body and its parts.
"""

import mimetypes
import re
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr, make_msgid

from contracts import clock
from ingest.send.outgoing import Attached, InvalidMail, Outgoing
from mail.parse_addresses import Address, parse_addresses

LINE = 76  # characters that a line is folded at (RFC 5322 section 2.1.1)
LONGEST_LINE = 998  # octets of a line, whatever cannot be folded
_TRACE = frozenset(
    {"received", "return-path", "delivered-to", "dkim-signature", "authentication-results", "received-spf"}
)
_OURS = frozenset(
    {
        "from",
        "to",
        "cc",
        "bcc",
        "reply-to",
        "subject",
        "mime-version",
        "content-type",
        "content-transfer-encoding",
        "date",
    }
)
_ADDRESSES = frozenset(
    {"sender", "resent-from", "resent-sender", "disposition-notification-to", "return-receipt-to", "errors-to"}
)
_IDS = frozenset({"message-id", "in-reply-to", "references"})
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def compose_message(mail: Outgoing, domain: str) -> bytes:
    """The octets, with CRLF line ends. `domain` names the Message-ID. InvalidMail names the field that is wrong."""
    _check_lines(mail)
    _check_headers(mail.headers)
    if mail.text is None and mail.html is None:
        raise InvalidMail("text", "give text, html or both")
    try:
        return b"".join(_header(mail, domain)) + _body(mail)
    except (ValueError, UnicodeError, IndexError) as error:
        raise InvalidMail("headers", f"the message cannot be built: {error}") from error


def _check_lines(mail: Outgoing) -> None:
    """The text of any header is one line, whatever anybody takes for the end of one."""
    texts = {"from": mail.from_address, "reply_to": mail.reply_to, "subject": mail.subject}
    texts |= {f"headers.{name}": value for name, value in mail.headers.items()}
    texts |= {f"attachments[{number}].name": attached.name for number, attached in enumerate(mail.attachments)}
    for field, text in texts.items():
        if text.splitlines() not in ([], [text]) or _CONTROL.search(text):
            raise InvalidMail(field, "the text of a header is one line, without control characters")


def _check_headers(headers: dict[str, str]) -> None:
    for name in headers:
        if name.lower() in _OURS:
            raise InvalidMail("headers", f"{name} has a field of its own")
        if name.lower() in _TRACE or name.lower().startswith("arc-"):
            raise InvalidMail("headers", f"{name} is written by mail servers only")
        if not re.fullmatch(r"[!-9;-~]+", name):
            raise InvalidMail("headers", f"'{name}' is no header name")
    if len({name.lower() for name in headers}) < len(headers):
        raise InvalidMail("headers", "two headers have one name")


# The header


def _header(mail: Outgoing, domain: str) -> list[bytes]:
    lines = [
        _addresses("From", "from", [mail.from_address]),
        _addresses("To", "to", mail.to),
        _addresses("Cc", "cc", mail.cc),
    ]
    lines.append(_addresses("Reply-To", "reply_to", [mail.reply_to] if mail.reply_to else []))
    lines.append(_text("Subject", "subject", mail.subject))
    lines.append(_text("Date", "date", format_datetime(clock.now())))
    if "message-id" not in {name.lower() for name in mail.headers}:
        lines.append(_text("Message-ID", "headers", make_msgid(domain=domain)))
    for name, value in mail.headers.items():
        lower = name.lower()
        if value.isascii() or not (lower in _ADDRESSES or lower.startswith("resent-")):
            lines.append(_text(name, f"headers.{name}", value))
        else:
            lines.append(_addresses(name, f"headers.{name}", [value]))
    return lines


def _addresses(name: str, field: str, texts: list[str] | tuple[str, ...]) -> bytes:
    found = [_readable(address) for text in texts for address in parse_addresses(text)]
    if texts and not found:
        raise InvalidMail(field, "it has no mail address")
    return _field(name, field, ", ".join(found)) if found else b""


def _readable(address: Address) -> str:
    """The address with its domain in A-labels, which every server reads (RFC 5891). A local part has no other spelling than its own
    (RFC 6532): encoded words are not for addresses (RFC 2047 section 5)."""
    if address.display.isascii():
        return formataddr((address.display, address.spec)) if address.spec.isascii() else _unencoded(address)
    words = Header(address.display, "utf-8", maxlinelen=LINE - 1, header_name="Reply-To").encode(linesep="")
    return f"{words} <{address.spec}>"


def _unencoded(address: Address) -> str:
    quoted = address.display.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address.spec}>' if quoted else address.spec


def _text(name: str, field: str, text: str) -> bytes:
    longest = max(map(len, text.split()), default=0)
    if text.isascii() and longest < LONGEST_LINE - len(name) - 2:
        return _field(name, field, text)
    if name.lower() in _IDS or (text.isascii() and name != "Subject"):
        raise InvalidMail(field, f"it has a word that is too long for a line of {LONGEST_LINE} octets, or not ASCII")
    return _field(name, field, Header(text, "utf-8", maxlinelen=LINE - 1, header_name=name).encode(linesep=""))


def _field(name: str, field: str, text: str) -> bytes:
    """The field, folded at spaces: each is kept, at the beginning of the next line. The first word stays beside the name."""
    line = f"{name}:"
    lines: list[str] = []
    for word in re.findall(r" *[^ ]+| +\Z", f" {text}"):
        if len(line) + len(word) > LINE and word.strip() and (lines or line != f"{name}:"):
            lines.append(line)
            line = ""
        line += word
    lines.append(line)
    octets = "\r\n".join(lines).encode() + b"\r\n"
    if any(len(one) > LONGEST_LINE for one in octets.split(b"\r\n")):
        raise InvalidMail(field, f"it makes a line of more than {LONGEST_LINE} octets (RFC 5322 section 2.1.1)")
    return octets


# The body


def _body(mail: Outgoing) -> bytes:
    """The body with the header fields that describe it, MIME-Version first."""
    message = EmailMessage(policy=SMTP)
    if mail.text is None:
        message.set_content(mail.html, subtype="html")
    else:
        message.set_content(mail.text)
        if mail.html is not None:
            message.add_alternative(mail.html, subtype="html")
    for attached in mail.attachments:
        _attach(message, attached)
    return message.as_bytes()


def _attach(message: EmailMessage, attached: Attached) -> None:
    kind = attached.type or mimetypes.guess_type(attached.name)[0] or "application/octet-stream"
    main, _, sub = kind.partition("/")
    if main in ("multipart", "message") or not re.fullmatch(r"[\w.+-]+", sub):
        main, sub = "application", "octet-stream"
    message.add_attachment(
        attached.content, maintype=main, subtype=sub, filename=attached.name.replace("=?", "= ?")
    )  # else `email` decodes it, with the line ends in it
