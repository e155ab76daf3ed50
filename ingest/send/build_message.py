"""An outbound message from fields, or one that is complete already, made ready to be signed (RFC 5322)."""

import re
import unicodedata
from dataclasses import dataclass, replace
from email.utils import format_datetime, make_msgid
from functools import lru_cache

from contracts import clock
from contracts.metadata import HEADERS, Metadata, metadata_of
from ingest.send.compose_message import compose_message
from ingest.send.outgoing import InvalidMail, Outgoing, check_bounds
from mail.addresses import MAX_ADDRESS, is_address
from mail.parse_addresses import Address, count_mailboxes, parse_addresses
from mail.parse_headers import Field, Flag, Message, split_message

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]+@[^\s@<>,;:\"()\[\]\\\x00-\x1f\x7f]+")
MAX_AUTHORS = 4096  # octets of From or Sender: what lies beyond what is read could name anyone
# What one parser reads otherwise than another: signed by us, it would be our word for what only the other one sees.
_DOUBTFUL = {
    Flag.HEADER_CAP: "it has more header than we read",
    Flag.LEADING_FOLD: "it begins with a folded line",
    Flag.BOM: "it begins with a byte order mark",
    Flag.HIDDEN_FROM: "it has a From that only some readers see",
    Flag.OBSOLETE_FROM: "it has a space between From and its colon",
    Flag.NON_ASCII_NAME: "it has a header name that is not ASCII",
    Flag.MALFORMED_HEADER: "it has a line in its header that is no field",
    Flag.BARE_CR: "it has a CR without LF",
    Flag.NUL: "it has a NUL",
}
# Fields of which readers take the first or the last (RFC 5322 section 3.6, RFC 2045).
_ONCE = frozenset(
    b"date sender reply-to to cc message-id in-reply-to references subject mime-version content-type content-disposition "
    b"content-transfer-encoding content-id content-description".split()
)
_AUTHORS = (b"from", b"sender", b"resent-from", b"resent-sender")
_EMPTY_FOLD = re.compile(rb"\r\n[ \t]+(?=\r\n|\Z)")
# Line ends for some programs (str.splitlines), and other control characters.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xe2\x80[\xa8\xa9]|\xc2\x85")
_LINE_END_OF_LATIN = re.compile(rb"\x85[^A-Za-z0-9\r\n]*[A-Za-z0-9-]+[ \t]*:")


@dataclass(frozen=True)
class Built:
    """A message with CRLF line ends, its envelope and its metadata."""

    octets: bytes
    message: Message  # the same, in parts
    envelope_from: str
    recipients: tuple[str, ...]
    authors: tuple[str, ...]  # domains of From, Sender, Resent-From and Resent-Sender, as the message names them
    metadata: Metadata


def build_message(mail: Outgoing) -> Built:
    """The message as it will be signed and sent. InvalidMail names the field that is wrong."""
    check_bounds(mail)
    report = mail.from_address == "" and mail.raw is not None  # the null sender
    sender = None if report else _one("from", mail.from_address)
    recipients = recipients_of(mail)
    if mail.raw is None and sender is not None:
        octets = compose_message(_named(mail), sender.domain)
        message = split_message(octets)
        _check_authors(message, "headers")
    else:
        octets, message = _from_raw(mail.raw or b"")
    octets, message, found = _take_out_ours(octets, message)
    given = {name: value for name, value in metadata_of(mail.metadata).items() if value}
    return Built(
        octets,
        message,
        sender.spec if sender is not None else "",
        recipients,
        _authors(message),
        Metadata(**{**found, **given}),
    )


# The envelope


def recipients_of(mail: Outgoing) -> tuple[str, ...]:
    """Its envelope: each recipient once, in their order. What is no address stays as it was given: that is told in the log, and the others
    get their mail. InvalidMail when there is none, or one is not even text of one line."""
    named = (("to", mail.to), ("cc", mail.cc), ("bcc", mail.bcc))
    found = [as_recipient(address, name) for name, addresses in named for address in addresses]
    if not found:
        raise InvalidMail("to", "give at least one recipient")
    return tuple(dict.fromkeys(found))


def as_recipient(address: str, field: str = "to") -> str:
    """The recipient that an address, with or without a display name, stands for."""
    return _spec(address) or _as_given(field, address)


def _named(mail: Outgoing) -> Outgoing:
    """The mail with those recipients only that its header can name."""
    to, cc = (tuple(one for one in texts if _spec(one)) for texts in (mail.to, mail.cc))
    return replace(mail, to=to, cc=cc)


def _as_given(field: str, text: str) -> str:
    if not text.strip() or _CONTROL.search(text.encode("utf-8", "replace")) is not None or "\n" in text or "\r" in text:
        raise InvalidMail(field, f"{text[:200]!r} is not one line of text")
    return text.strip()[:MAX_ADDRESS]


@lru_cache(maxsize=4096)
def _spec(text: str) -> str:
    """The one mail address that a text is; "" where it is none."""
    found = parse_addresses(text)
    well = len(found) == 1 and found[0].domain and _ADDRESS.fullmatch(found[0].spec) and is_address(found[0].spec)
    return found[0].spec if well and not any(ord(c) < 32 for c in text) else ""


def _one(field: str, text: str) -> Address:
    if not _spec(text):
        raise InvalidMail(field, f"'{text[:200]}' is not one mail address")
    return parse_addresses(text)[0]


def _authors(message: Message) -> tuple[str, ...]:
    named = [entry for name in _AUTHORS for entry in message.all(name)]
    if any(len(entry.value) > MAX_AUTHORS for entry in named):
        raise InvalidMail("from", f"the message's From or Sender is longer than {MAX_AUTHORS} octets")
    domains = [address.domain for entry in named for address in parse_addresses(entry.text())]
    if not domains or not all(domains):
        raise InvalidMail("from", "the message's From or Sender has no mail address")
    return tuple(dict.fromkeys(domains))


def _check_authors(message: Message, field: str) -> None:
    """Each author's field has to be one mailbox for every reader: no group, no text beside it, nothing that only looks like an at sign."""
    for name in _AUTHORS:
        for entry in message.all(name):
            text = entry.text()
            if len(entry.value) <= MAX_AUTHORS and (count_mailboxes(text) != 1 or _looks_like_more(text)):
                title = name.decode().title()
                raise InvalidMail(field, f"its {title} is not exactly one mail address that all programs read alike")


def _looks_like_more(text: str) -> bool:
    escaped = "\\@" in re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    return escaped or unicodedata.normalize("NFKC", text).count("@") != text.count("@")


# From a whole message


def _from_raw(raw: bytes) -> tuple[bytes, Message]:
    """Its octets and its parts, with what a message must have."""
    # A file with LF line ends is what people have at hand.
    octets = raw if b"\r" in raw else raw.replace(b"\n", b"\r\n")
    if b"\x00" in octets or not octets.count(b"\r\n") == octets.count(b"\n") == octets.count(b"\r"):
        raise InvalidMail("raw", "the message has NUL, or CR or LF that stand alone")
    if not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    message = split_message(octets)
    for flag, what in _DOUBTFUL.items():
        if flag in message.flags:
            raise InvalidMail("raw", what)
    if octets.startswith(b"From "):
        raise InvalidMail("raw", "it begins with the separator line of an mbox file")
    if len(message.all(b"from")) != 1:
        raise InvalidMail("raw", "the message needs exactly one From header")
    _check_fields(octets, message)
    missing = []
    if not message.all(b"date"):
        missing.append(_field(b"Date", format_datetime(clock.now())))
    if not message.all(b"message-id"):
        author = parse_addresses(message.all(b"from")[0].text())[0]
        missing.append(_field(b"Message-ID", make_msgid(domain=author.domain)))
    octets = b"".join(entry.raw + b"\r\n" for entry in missing) + octets
    return octets, message._replace(fields=[*missing, *message.fields])


def _check_fields(octets: bytes, message: Message) -> None:
    names = [entry.name for entry in message.fields if entry.name in _ONCE]
    for name in names:
        if names.count(name) > 1:
            raise InvalidMail("raw", f"it has {name.decode().title()} more than once")
    head = octets.partition(b"\r\n\r\n")[0]
    if _EMPTY_FOLD.search(head) is not None:
        raise InvalidMail("raw", "it has a line in its header that is empty but for spaces")
    if any(_has_line_end(entry.value) for entry in message.fields):
        raise InvalidMail(
            "raw", "it has a control character in its header, which some programs take for the end of a line"
        )
    _check_authors(message, "raw")


def _has_line_end(value: bytes) -> bool:
    if value.isascii():
        return _CONTROL.search(value) is not None
    try:
        value.decode()
        stray = False
    except UnicodeDecodeError:
        stray = b"\x85" in value
    return stray or _CONTROL.search(value) is not None or _LINE_END_OF_LATIN.search(value) is not None


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
