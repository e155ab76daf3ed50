"""What is put before a message that is forwarded, and what is left out of it; every other octet stays as it came."""

import time

from contracts.auth_results import AuthResults, IprevWord
from contracts.raw_message import Envelope
from contracts.settings import Settings
from mail.authentication.seal_arc import seal_arc
from mail.authentication.sign_dkim import read_signing_key
from mail.authentication.strip_auth_results import auth_results_ranges, strip_auth_results
from mail.authentication.write_headers import write_auth_results, write_received


class ForwardHead:
    """Writes the head of forwards, with an ARC seal where the settings have a key. ConfigurationError when it is unusable."""

    def __init__(self, settings: Settings) -> None:
        self._authserv_id = settings.authserv_id
        self._seal = settings.inbound.arc_seal
        self._key = read_signing_key(self._seal.key_file, "inbound.arc_seal.key_file") if self._seal else None

    def write(
        self, envelope: Envelope, recipient: str, auth: AuthResults, octets: bytes
    ) -> tuple[str, list[tuple[int, int]]]:
        """(header lines, octet ranges to leave out): Delivered-To against loops, Received (RFC 5321 section 4.4),
        Authentication-Results (RFC 8601); incoming results that claim our name are left out (section 5)."""
        received = write_received(
            helo=envelope.helo,
            peer_ip=envelope.peer_ip,
            peer_name=auth.iprev.domain if auth.iprev.result is IprevWord.PASS else "",
            by=self._authserv_id,
            protocol=envelope.protocol,
            mail_id=envelope.mail_id,
            now=envelope.received_at.timestamp(),
            recipient=recipient if len(envelope.recipients) == 1 else "",
        )
        results = write_auth_results(auth, self._authserv_id)
        lines = (
            self._sealed(octets, results, auth) + b"Delivered-To: " + recipient.encode() + b"\r\n" + results + received
        )
        return lines.decode(), auth_results_ranges(octets, self._authserv_id)

    def _sealed(self, octets: bytes, results: bytes, auth: AuthResults) -> bytes:
        if self._seal is None or self._key is None:
            return b""
        sent_on = strip_auth_results(octets, self._authserv_id)
        return seal_arc(sent_on, results, auth.arc, self._seal.domain, self._seal.selector, self._key, time.time())
