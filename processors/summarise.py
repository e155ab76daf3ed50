"""The summary of a mail that every one of its events carries, and its headers as people read them."""

from contracts.auth_results import AuthResults
from contracts.events import Summary
from contracts.metadata import metadata_of
from contracts.raw_message import Envelope
from mail.decode_text import decode_words as decode_words
from mail.parse_addresses import parse_addresses
from mail.parse_headers import Field, Message

MAX_SUBJECT = 998
MAX_HEADERS = 200
MAX_HEADER = 2000  # characters of one header value that the log keeps
MAX_HEADERS_TOTAL = 64_000
MAX_HEADERS_EVENTS = 4 << 20  # in the events of all recipients together


def first_text(message: Message, name: bytes, limit: int) -> str:
    """The first field of this name, decoded, at most `limit` characters; "" when there is none."""
    for field in message.fields:
        if field.name == name:
            return decode_words(field.text()[: 4 * limit])[:limit]
    return ""


def summarise(envelope: Envelope, message: Message, auth: AuthResults | None, channel: str) -> Summary:
    """What the log shows of a mail. `auth` is None where nothing was checked."""
    authors = message.all(b"from")
    addresses = parse_addresses(authors[0].text()) if authors else []
    author = addresses[0] if addresses else None
    ids = message.all(b"message-id")
    return Summary(
        from_=author.spec[:320] if author else "",
        from_name=decode_words(author.display)[:200] if author else "",
        envelope_from=envelope.envelope_from[:320],
        subject=first_text(message, b"subject", MAX_SUBJECT),
        message_id=ids[0].text()[:998].strip().strip("<>") if ids else "",
        channel=channel,
        **metadata_of(envelope),
        received_at=envelope.received_at,
        size=envelope.size,
        peer_ip=envelope.peer_ip,
        helo=envelope.helo[:255],
        spf=auth.spf_word if auth else "none",
        dkim=auth.dkim_word if auth else "none",
        dmarc=auth.dmarc_word if auth else "none",
        arc=auth.arc_word if auth else "none",
        iprev=auth.iprev_word if auth else "none",
    )


def most_header(recipients: int) -> int:
    """Characters of the header that the event of each of so many recipients keeps: one mail must not become many times its size."""
    return min(MAX_HEADERS_TOTAL, MAX_HEADERS_EVENTS // max(1, recipients))


def readable_headers(message: Message, recipients: int) -> list[tuple[str, str]]:
    """Names as written and values decoded, in order; capped, since a hostile mail may have megabytes of them."""
    kept: list[tuple[str, str]] = []
    room = most_header(recipients)
    for field in message.fields[:MAX_HEADERS]:
        name = _name(field)
        value = decode_words(field.text()[:MAX_HEADER])
        room -= len(name) + len(value)
        if room < 0:
            break
        kept.append((name, value))
    return kept


def _name(field: Field) -> str:
    return field.raw[: field.colon].decode("ascii", "replace").strip()[:100]
