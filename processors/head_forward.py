"""What is put before a message that is forwarded, and what is left out of it; every other octet stays as it came."""

from contracts.auth_results import AuthResults, IprevWord
from contracts.raw_message import Envelope
from processors.authentication.strip_auth_results import auth_results_ranges
from processors.authentication.write_headers import write_auth_results, write_received


def head_forward(
    envelope: Envelope, recipient: str, auth: AuthResults, octets: bytes, authserv_id: str
) -> tuple[str, list[tuple[int, int]]]:
    """(header lines, octet ranges to leave out): Delivered-To against loops, Received (RFC 5321 section 4.4),
    Authentication-Results (RFC 8601); incoming results that claim our name are left out (section 5)."""
    received = write_received(
        helo=envelope.helo,
        peer_ip=envelope.peer_ip,
        peer_name=auth.iprev.domain if auth.iprev.result is IprevWord.PASS else "",
        by=authserv_id,
        protocol=envelope.protocol,
        mail_id=envelope.mail_id,
        now=envelope.received_at.timestamp(),
        recipient=recipient if len(envelope.recipients) == 1 else "",
    )
    lines = b"Delivered-To: " + recipient.encode() + b"\r\n" + write_auth_results(auth, authserv_id) + received
    return lines.decode(), auth_results_ranges(octets, authserv_id)
