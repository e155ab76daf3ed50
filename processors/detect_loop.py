"""Mail that goes round in a circle (RFC 5321 section 6.3)."""

from mail.addresses import split_address, unquote_local
from mail.parse_addresses import to_ascii_domain
from mail.parse_headers import Message

MAX_RECEIVED = 100  # RFC 5321 section 6.3 asks for at least that
REPLY = "554 5.4.6 Mail loop: this message has been here before"


def detect_loop(message: Message, recipient: str) -> bool:
    """Whether we forwarded this message for this recipient before (our Delivered-To), or it has too many Received fields. Without a
    recipient the latter alone counts: a polled mail's own server wrote a Delivered-To."""
    if len(message.all(b"received")) > MAX_RECEIVED:
        return True
    return recipient != "" and any(
        _canonical(field.text()) == _canonical(recipient) for field in message.all(b"delivered-to")
    )


def _canonical(address: str) -> str:
    """The address in one spelling, however the hosts in between have written it: case, quotes, a final dot, U-labels."""
    local, domain = split_address(address)
    return f"{unquote_local(local)}@{to_ascii_domain(domain) or domain}".lower()
