"""How much memory a record of `mail.raw` takes while it is in work."""

from contracts.errors import InvalidEvent
from contracts.raw_message import decode_headers
from contracts.records import ConsumedRecord
from processors.summarise import most_header

RECORDS = 8 << 10  # octets of what is published about one recipient, beside the mail's header


def weigh_mail(source: ConsumedRecord) -> int:
    """Octets of the record and, for each recipient, of its events and its command."""
    try:
        envelope = decode_headers(source.headers)
    except InvalidEvent:
        return source.size
    recipients = max(1, len(envelope.recipients))
    return source.size + recipients * (RECORDS + min(envelope.size, most_header(recipients)))
