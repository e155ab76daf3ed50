"""What is put before a message that is forwarded, and what is left out of it; every other octet stays as it came."""

import time
from collections.abc import Callable
from functools import cache

from contracts.auth_results import AuthResults, IprevWord
from contracts.raw_message import Envelope
from contracts.settings import Settings
from mail.authentication.seal_arc import seal_arc
from mail.authentication.sign_dkim import read_signing_key
from mail.authentication.strip_auth_results import auth_results_ranges, strip_auth_results
from mail.authentication.write_headers import write_auth_results, write_received

Head = tuple[str, list[tuple[int, int]]]  # header lines, octet ranges to leave out


class ForwardHead:
    """Writes the head of forwards, with an ARC seal where the settings have a key. ConfigurationError when it is unusable."""

    def __init__(self, settings: Settings) -> None:
        self._authserv_id = settings.authserv_id
        self._seal = settings.inbound.arc_seal
        self._key = read_signing_key(self._seal.key_file, "inbound.arc_seal.key_file") if self._seal else None

    def of(self, envelope: Envelope, auth: AuthResults, octets: bytes) -> Callable[[str], Head]:
        """The head of one message for each of its recipients: Delivered-To against loops, Received (RFC 5321 section 4.4),
        Authentication-Results (RFC 8601); incoming results that claim our name are left out (section 5). A message that is
        forwarded is sealed once, however many recipients it has."""
        results = write_auth_results(auth, self._authserv_id)
        seal = cache(lambda: self._sealed(octets, results, auth))
        cut = cache(lambda: auth_results_ranges(octets, self._authserv_id))

        def head(recipient: str) -> Head:
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
            lines = seal() + b"Delivered-To: " + recipient.encode() + b"\r\n" + results + received
            return lines.decode(), cut()

        return head

    def _sealed(self, octets: bytes, results: bytes, auth: AuthResults) -> bytes:
        if self._seal is None or self._key is None:
            return b""
        sent_on = strip_auth_results(octets, self._authserv_id)
        return seal_arc(sent_on, results, auth.arc, self._seal.domain, self._seal.selector, self._key, time.time())
