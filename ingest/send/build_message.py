"""An outbound message from fields, or one that is complete already, made ready to be signed (RFC 5322, RFC 2045)."""

import mimetypes
import re
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, make_msgid

from contracts import clock
from contracts.metadata import HEADERS, Metadata, metadata_of
from mail.parse_addresses import Address, parse_addresses
from mail.parse_headers import split_message

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]+@[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]+")
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


class InvalidMail(Exception):
    """The request cannot become a mail: which field, and what is wrong with it."""

    def __init__(self, field: str, message: str, code: str = "invalid_mail") -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.code = code


@dataclass(frozen=True)
class Attached:
    """A file of a mail."""

    name: str
    type: str
    content: bytes


@dataclass(frozen=True)
class Outgoing:
    """What an application asks to be sent: fields, or `raw`, a whole message with `sender` and `to` as its envelope."""

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: str = ""
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    attachments: tuple[Attached, ...] = ()
    raw: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)


@dataclass(frozen=True)
class Built:
    """A message with CRLF line ends, its envelope and its metadata."""

    octets: bytes
    sender: str
    recipients: tuple[str, ...]
    authors: tuple[str, ...]  # domains of From and Sender, as the message names them
    metadata: Metadata


def build_message(mail: Outgoing) -> Built:
    """The message as it will be signed and sent. InvalidMail names the field that is wrong."""
    sender = _one("from", mail.sender)
    recipients = []
    for name, addresses in (("to", mail.to), ("cc", mail.cc), ("bcc", mail.bcc)):
        recipients += [_one(name, address) for address in addresses]
    unique = tuple(dict.fromkeys(address.spec for address in recipients))
    if not unique:
        raise InvalidMail("to", "give at least one recipient")
    octets = _from_raw(mail, sender) if mail.raw is not None else _from_fields(mail, sender)
    octets, found = _take_metadata(octets)
    given = {name: value for name, value in metadata_of(mail.metadata).items() if value}
    return Built(octets, sender.spec, unique, _authors(octets), Metadata(**{**found, **given}))


def _authors(octets: bytes) -> tuple[str, ...]:
    fields = split_message(octets).fields
    named = [entry for wanted in (b"from", b"sender") for entry in fields if entry.name == wanted]
    domains = [address.domain for entry in named for address in parse_addresses(entry.text())]
    if not domains or not all(domains):
        raise InvalidMail("from", "the message's From or Sender has no mail address")
    return tuple(dict.fromkeys(domains))


def _one(field: str, text: str) -> Address:
    found = parse_addresses(text)
    if (
        len(found) != 1
        or not found[0].domain
        or not _ADDRESS.fullmatch(found[0].spec)
        or any(ord(c) < 32 for c in text)
    ):
        raise InvalidMail(field, f"'{text[:200]}' is not one mail address")
    return found[0]


def _readable(text: str) -> str:
    """The address as it was given, its domain in A-labels, which every server reads (RFC 5891)."""
    found = parse_addresses(text)
    if text.rpartition("<")[2].isascii() or len(found) != 1 or any(ord(c) < 32 for c in text):
        return text
    (address,) = found
    quoted = address.display.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address.spec}>' if quoted else address.spec


def _from_fields(mail: Outgoing, sender: Address) -> bytes:
    # Python refuses most line ends in a header, but lets a lone CR through: here the text of any header is one line.
    for line in (
        mail.sender,
        mail.reply_to,
        mail.subject,
        *mail.headers.values(),
        *(one.name for one in mail.attachments),
    ):
        if line.splitlines() not in ([], [line]):
            raise InvalidMail("headers", "the text of a header is one line")
    shown = {"From": [_readable(mail.sender)], "To": [*map(_readable, mail.to)], "Cc": [*map(_readable, mail.cc)]}
    # A local part has no other spelling (RFC 6532); encoded words are not for addresses (RFC 2047 section 5).
    plain = all(text.rpartition("<")[2].isascii() for texts in shown.values() for text in texts)
    message = EmailMessage(policy=SMTP if plain else SMTPUTF8)
    try:
        for name, texts in shown.items():
            if texts:
                message[name] = ", ".join(texts)
        if mail.reply_to:
            message["Reply-To"] = _readable(mail.reply_to)
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(clock.now())
        if "message-id" not in {name.lower() for name in mail.headers}:
            message["Message-ID"] = make_msgid(domain=sender.domain)
        for name, value in mail.headers.items():
            if name.lower() in _OURS:
                raise InvalidMail("headers", f"{name} has a field of its own")
            if name.lower() in _TRACE or name.lower().startswith("arc-"):
                raise InvalidMail("headers", f"{name} is written by mail servers only")
            if not re.fullmatch(r"[!-9;-~]+", name):
                raise InvalidMail("headers", f"'{name}' is no header name")
            message[name] = value
        if mail.text is None and mail.html is None:
            raise InvalidMail("text", "give text, html or both")
        message.set_content(mail.text if mail.text is not None else "This message is in HTML.\n")
        if mail.html is not None:
            if mail.text is None:
                message.set_content(mail.html, subtype="html")
            else:
                message.add_alternative(mail.html, subtype="html")
        for attached in mail.attachments:
            kind = attached.type or mimetypes.guess_type(attached.name)[0] or "application/octet-stream"
            main, _, sub = kind.partition("/")
            if main in ("multipart", "message") or not re.fullmatch(r"[\w.+-]+", sub):
                main, sub = "application", "octet-stream"
            message.add_attachment(attached.content, maintype=main, subtype=sub, filename=attached.name)
        return message.as_bytes()
    except (ValueError, UnicodeError, IndexError) as error:
        raise InvalidMail("headers", f"the message cannot be built: {error}") from error


def _from_raw(mail: Outgoing, sender: Address) -> bytes:
    octets = mail.raw or b""
    if b"\r" not in octets:
        octets = octets.replace(b"\n", b"\r\n")  # a file with LF line ends is what people have at hand
    if b"\x00" in octets or not octets.count(b"\r\n") == octets.count(b"\n") == octets.count(b"\r"):
        raise InvalidMail("raw", "the message has NUL, or CR or LF that stand alone")
    if not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    fields = split_message(octets).fields
    names = [entry.name for entry in fields]
    if names.count(b"from") != 1:
        raise InvalidMail("raw", "the message needs exactly one From header")
    missing = b""
    if b"date" not in names:
        missing += b"Date: " + format_datetime(clock.now()).encode() + b"\r\n"
    if b"message-id" not in names:
        missing += b"Message-ID: " + make_msgid(domain=sender.domain).encode() + b"\r\n"
    return missing + octets


def _take_metadata(octets: bytes) -> tuple[bytes, dict[str, str]]:
    """Our own headers say something to us, and to nobody else: read, then taken out. Bcc goes too (RFC 5322 section 3.6.3)."""
    end = octets.find(b"\r\n\r\n")
    head, body = (octets[: end + 2], octets[end + 2 :]) if end >= 0 else (octets, b"")
    kept, found = [], {}
    wanted = {header: name for name, header in HEADERS.items()}
    for line in re.split(rb"\r\n(?![ \t])", head.removesuffix(b"\r\n")):
        name = line.partition(b":")[0].strip().lower().decode("ascii", "replace")
        if name in wanted:
            value = line.partition(b":")[2].replace(b"\r\n", b"").decode("utf-8", "replace").strip()
            found[wanted[name]] = value[:200]
        elif name != "bcc" and not name.startswith("x-mailscope-"):
            kept.append(line)
    return b"\r\n".join(kept) + b"\r\n" + body, found
