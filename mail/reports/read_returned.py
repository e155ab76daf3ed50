"""The headers of the mail that a report gives back (RFC 3464 section 5, RFC 6522 section 4). Bounded, never raises."""

import re

from mail.decode_text import decode_words
from mail.parse_addresses import parse_addresses
from mail.parse_headers import Message, split_message
from mail.reports.report import MAX_VALUE, ReturnedMail

MAX_HEADER = 256 * 1024  # octets of the returned mail that are read
MAX_ADDRESSES = 100

_VERP = re.compile(rb"b\+[a-z2-7]{26}\.[a-z2-7]{6}\.[a-z2-7]{10}@[A-Za-z0-9.-]{1,253}", re.IGNORECASE)
_BRACKETED = re.compile(r"<([^<>\s]{1,998})>")
_BLANK = b"\r\n\r\n"


def split_returned(octets: bytes) -> Message:
    """The header of a returned message, or of its headers alone."""
    return split_message(octets[:MAX_HEADER].lstrip().partition(_BLANK)[0] + _BLANK)


def read_returned(message: Message) -> ReturnedMail:
    """What a returned message says of itself."""
    to = [
        one.spec for name in (b"to", b"cc") for field in message.all(name)[:1] for one in parse_addresses(field.text())
    ]
    authors = [one.spec for field in message.all(b"from")[:1] for one in parse_addresses(field.text())]
    return ReturnedMail(
        message_id=read_message_id(message),
        from_address=authors[0][:MAX_VALUE] if authors else "",
        to_addresses=tuple(one[:MAX_VALUE] for one in to[:MAX_ADDRESSES]),
        subject=decode_words(_first(message, b"subject"))[:MAX_VALUE],
        envelope_from=_first(message, b"return-path").strip().strip("<>")[:MAX_VALUE],
    )


def find_bounce_addresses(octets: bytes) -> tuple[str, ...]:
    """What has the form of a bounce address of ours (VERP), each once, in order."""
    found = dict.fromkeys(match[0].decode("ascii") for match in _VERP.finditer(octets))
    return tuple(found)[:MAX_ADDRESSES]


def read_message_id(message: Message) -> str:
    """Message-ID without its angle brackets."""
    text = _first(message, b"message-id")
    bracketed = _BRACKETED.search(text)
    return bracketed[1] if bracketed else text.strip()[:MAX_VALUE]


def _first(message: Message, name: bytes) -> str:
    return next((field.text() for field in message.all(name)), "")
