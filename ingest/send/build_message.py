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
from mail.parse_headers import Field, Flag, Message, split_message

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
    """What an application asks to be sent: fields, or `raw`, a whole message with `from_address` and `to` as its envelope."""

    from_address: str  # with or without a display name
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
    message: Message  # the same, in parts
    envelope_from: str
    recipients: tuple[str, ...]
    authors: tuple[str, ...]  # domains of From and Sender, as the message names them
    metadata: Metadata


def build_message(mail: Outgoing) -> Built:
    """The message as it will be signed and sent. InvalidMail names the field that is wrong."""
    sender = _one("from", mail.from_address)
    recipients = _recipients(mail)
    if mail.raw is None:
        octets = _from_fields(mail, sender.domain)
        message = split_message(octets)
    else:
        octets, message = _from_raw(mail.raw, sender.domain)
    if Flag.HEADER_CAP in message.flags:  # what we do not look at might be a Bcc
        raise InvalidMail("headers", "the message has more header than we read")
    octets, message, found = _take_out_ours(octets, message)
    given = {name: value for name, value in metadata_of(mail.metadata).items() if value}
    return Built(octets, message, sender.spec, recipients, _authors(message), Metadata(**{**found, **given}))


# The envelope


def _recipients(mail: Outgoing) -> tuple[str, ...]:
    named = (("to", mail.to), ("cc", mail.cc), ("bcc", mail.bcc))
    found = [_one(name, address).spec for name, addresses in named for address in addresses]
    if not found:
        raise InvalidMail("to", "give at least one recipient")
    return tuple(dict.fromkeys(found))


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


def _authors(message: Message) -> tuple[str, ...]:
    named = [*message.all(b"from"), *message.all(b"sender")]
    domains = [address.domain for entry in named for address in parse_addresses(entry.text())]
    if not domains or not all(domains):
        raise InvalidMail("from", "the message's From or Sender has no mail address")
    return tuple(dict.fromkeys(domains))


# From fields


def _from_fields(mail: Outgoing, domain: str) -> bytes:
    _check_lines(mail)
    _check_headers(mail.headers)
    if mail.text is None and mail.html is None:
        raise InvalidMail("text", "give text, html or both")
    addresses = {
        "From": [_readable(mail.from_address)],
        "To": [*map(_readable, mail.to)],
        "Cc": [*map(_readable, mail.cc)],
    }
    # A local part has no other spelling (RFC 6532); encoded words are not for addresses (RFC 2047 section 5).
    plain = all(text.rpartition("<")[2].isascii() for texts in addresses.values() for text in texts)
    message = EmailMessage(policy=SMTP if plain else SMTPUTF8)
    try:
        _write_headers(message, mail, addresses, domain)
        _write_body(message, mail.text, mail.html)
        for attached in mail.attachments:
            _attach(message, attached)
        return message.as_bytes()
    except (ValueError, UnicodeError, IndexError) as error:
        raise InvalidMail("headers", f"the message cannot be built: {error}") from error


def _check_lines(mail: Outgoing) -> None:
    """Python refuses most line ends in a header, but lets a lone CR through: here the text of any header is one line."""
    names = [attached.name for attached in mail.attachments]
    for text in (mail.from_address, mail.reply_to, mail.subject, *mail.headers.values(), *names):
        if text.splitlines() not in ([], [text]):
            raise InvalidMail("headers", "the text of a header is one line")


def _check_headers(headers: dict[str, str]) -> None:
    for name in headers:
        if name.lower() in _OURS:
            raise InvalidMail("headers", f"{name} has a field of its own")
        if name.lower() in _TRACE or name.lower().startswith("arc-"):
            raise InvalidMail("headers", f"{name} is written by mail servers only")
        if not re.fullmatch(r"[!-9;-~]+", name):
            raise InvalidMail("headers", f"'{name}' is no header name")


def _write_headers(message: EmailMessage, mail: Outgoing, addresses: dict[str, list[str]], domain: str) -> None:
    for name, texts in addresses.items():
        if texts:
            message[name] = ", ".join(texts)
    if mail.reply_to:
        message["Reply-To"] = _readable(mail.reply_to)
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(clock.now())
    if "message-id" not in {name.lower() for name in mail.headers}:
        message["Message-ID"] = make_msgid(domain=domain)
    for name, value in mail.headers.items():
        message[name] = value


def _readable(text: str) -> str:
    """The address as it was given, its domain in A-labels, which every server reads (RFC 5891)."""
    found = parse_addresses(text)
    if text.rpartition("<")[2].isascii() or len(found) != 1 or any(ord(c) < 32 for c in text):
        return text
    (address,) = found
    quoted = address.display.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address.spec}>' if quoted else address.spec


def _write_body(message: EmailMessage, text: str | None, html: str | None) -> None:
    if text is None:
        message.set_content(html, subtype="html")
        return
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")


def _attach(message: EmailMessage, attached: Attached) -> None:
    kind = attached.type or mimetypes.guess_type(attached.name)[0] or "application/octet-stream"
    main, _, sub = kind.partition("/")
    if main in ("multipart", "message") or not re.fullmatch(r"[\w.+-]+", sub):
        main, sub = "application", "octet-stream"
    message.add_attachment(attached.content, maintype=main, subtype=sub, filename=attached.name)


# From a whole message


def _from_raw(raw: bytes, domain: str) -> tuple[bytes, Message]:
    """Its octets and its parts, with what a message must have."""
    # A file with LF line ends is what people have at hand.
    octets = raw if b"\r" in raw else raw.replace(b"\n", b"\r\n")
    if b"\x00" in octets or not octets.count(b"\r\n") == octets.count(b"\n") == octets.count(b"\r"):
        raise InvalidMail("raw", "the message has NUL, or CR or LF that stand alone")
    if not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    message = split_message(octets)
    if Flag.LEADING_FOLD in message.flags:  # it would become a part of what we put above it
        raise InvalidMail("raw", "the message begins with a folded line")
    if len(message.all(b"from")) != 1:
        raise InvalidMail("raw", "the message needs exactly one From header")
    missing = []
    if not message.all(b"date"):
        missing.append(_field(b"Date", format_datetime(clock.now())))
    if not message.all(b"message-id"):
        missing.append(_field(b"Message-ID", make_msgid(domain=domain)))
    octets = b"".join(entry.raw + b"\r\n" for entry in missing) + octets
    return octets, message._replace(fields=[*missing, *message.fields])


def _field(name: bytes, value: str) -> Field:
    return Field(name.lower(), name + b": " + value.encode(), len(name))


# What is for us alone

_METADATA = {header.encode(): name for name, header in HEADERS.items()}


def _take_out_ours(octets: bytes, message: Message) -> tuple[bytes, Message, dict[str, str]]:
    """Our own headers say something to us, and to nobody else: read, then taken out. Bcc goes too (RFC 5322 section 3.6.3)."""
    ours = [entry for entry in message.fields if _is_ours(entry.name)]
    if not ours:
        return octets, message, {}
    found = {_METADATA[entry.name]: entry.text()[:200] for entry in ours if entry.name in _METADATA}
    head, gap, body = octets.partition(b"\r\n\r\n")
    lines = re.split(rb"\r\n(?![ \t])", head.removesuffix(b"\r\n"))
    kept = [line for line in lines if not _is_ours(line.partition(b":")[0].strip().lower())]
    parted = message._replace(fields=[entry for entry in message.fields if not _is_ours(entry.name)])
    return b"\r\n".join(kept) + (gap or b"\r\n") + body, parted, found


def _is_ours(name: bytes) -> bool:
    return name == b"bcc" or name.startswith(b"x-mailscope-")
