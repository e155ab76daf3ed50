"""Envelope senders that come back to us, with an HMAC so that nobody can make one up.

VERP for outbound mail: `b+<mail_id>.<recipient>.<mac>@our.domain` finds the mail without state; of a redelivery
`b+<mail_id>.<recipient>.<round>.<mac>`.
SRS for forwards (Sender Rewriting Scheme, Wong 2004): `SRS0=<mac>=<day>=<domain>=<local>@our.domain` finds the first
sender. Both expire after `VALID_DAYS`.
"""

import base64
import hashlib
import hmac
import re
import uuid
from dataclasses import dataclass
from datetime import datetime

from contracts.clock import to_ms
from contracts.ids import received_ms
from mail.addresses import quote_local, split_address, unquote_local

VALID_DAYS = 30
MS_OF_A_DAY = 86_400_000
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_VERP = re.compile(r"([bu])\+([a-z2-7]{26})\.([a-z2-7]{6})(\.[a-z2-7])?\.([a-z2-7]{10})")
_SRS = re.compile(r"SRS0=([a-z2-7]{8})=([a-z2-7]{2})=([^=]*)=(.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class BounceOf:
    """What a VERP address says: the mail, a digest of the recipient that it was sent to, and how often it had been redelivered."""

    mail_id: str
    recipient_digest: str
    round: int = 0


class BounceAddresses:
    """Makes and reads bounce addresses with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def verp(self, mail_id: str, recipient: str, domain: str, round_: int = 0) -> str:
        """The envelope sender of one outbound mail to one recipient. `round_`: 0 to MOST_ROUNDS."""
        return self._address("b", "verp", mail_id, recipient, domain, f".{_BASE32[round_].lower()}" if round_ else "")

    def read_verp(self, address: str, now: datetime) -> BounceOf | None:
        """The mail that a bounce is about; None when the address is not ours, forged, or expired."""
        return self._read("b", "verp", address, now)

    def unsubscribe(self, mail_id: str, recipient: str, domain: str) -> str:
        """Where this recipient of this mail can write to in order to unsubscribe."""
        return self._address("u", "unsubscribe", mail_id, recipient, domain)

    def read_unsubscribe(self, address: str, now: datetime) -> BounceOf | None:
        """The mail and recipient of such an address; None when it is not ours, forged, or expired."""
        return self._read("u", "unsubscribe", address, now)

    def _address(self, prefix: str, purpose: str, mail_id: str, recipient: str, domain: str, round_: str = "") -> str:
        packed = base64.b32encode(uuid.UUID(mail_id).bytes).decode().rstrip("=").lower()
        named = f"{recipient_digest(recipient)}{round_}"
        return f"{prefix}+{packed}.{named}.{self._mac(f'{purpose} {packed} {named}', 10)}@{domain}"

    def _read(self, prefix: str, purpose: str, address: str, now: datetime) -> BounceOf | None:
        match = _VERP.fullmatch(split_address(address)[0].lower())
        if match is None or match[1] != prefix:
            return None
        _, packed, digest, round_, mac = match.groups(default="")
        if not hmac.compare_digest(mac, self._mac(f"{purpose} {packed} {digest}{round_}", 10)):
            return None
        mail_id = str(uuid.UUID(bytes=base64.b32decode(packed.upper() + "======")))
        if _day(now) - received_ms(mail_id) // MS_OF_A_DAY > VALID_DAYS:
            return None
        return BounceOf(mail_id, digest, _BASE32.index(round_[1:].upper()) if round_ else 0)

    def srs(self, sender: str, domain: str, now: datetime) -> str:
        """The envelope sender of a forward; "" (the null sender) stays null. A quoted sender is quoted as a whole."""
        local, from_domain = split_address(sender)
        if not from_domain:
            return ""
        local, stamp = unquote_local(local), _stamp(_day(now))
        mac = self._mac(f"srs {stamp} {from_domain} {local}".lower(), 8)
        return f"{quote_local(f'SRS0={mac}={stamp}={from_domain}={local}')}@{domain}"

    def read_srs(self, address: str, now: datetime) -> str | None:
        """The first sender of a forward; None when the address is no SRS address of ours, forged, or expired."""
        match = _SRS.fullmatch(unquote_local(split_address(address)[0]))
        if match is None:
            return None
        mac, stamp, from_domain, local = match.groups()
        if not hmac.compare_digest(mac.lower(), self._mac(f"srs {stamp} {from_domain} {local}".lower(), 8)):
            return None
        if not any(_stamp(_day(now) - age) == stamp.lower() for age in range(VALID_DAYS + 1)):
            return None
        return f"{quote_local(local)}@{from_domain}"

    def _mac(self, text: str, length: int) -> str:
        digest = hmac.new(self._key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
        return base64.b32encode(digest).decode()[:length].lower()


def recipient_digest(recipient: str) -> str:
    """Six characters that tell the recipients of one mail apart."""
    return (
        base64.b32encode(hashlib.sha256(recipient.lower().encode("utf-8", "surrogateescape")).digest())
        .decode()[:6]
        .lower()
    )


def _day(moment: datetime) -> int:
    return to_ms(moment) // MS_OF_A_DAY


def _stamp(day: int) -> str:
    return (_BASE32[day // 32 % 32] + _BASE32[day % 32]).lower()
