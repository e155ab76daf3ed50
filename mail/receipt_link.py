"""Links to a receipt: what happened to one mail for one recipient, for whoever holds the link, until it ends. With an HMAC so that nobody
can make one up; it holds the place of the mail and no address."""

import base64
import hashlib
import hmac
import struct
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.clock import from_ms, to_ms
from mail.bounce_address import recipient_digest

LASTS = timedelta(days=14)
MAX_TOKEN = 100  # characters
_MAC = 20  # characters of base32: 100 bits
_PLACE = struct.Struct(">16sI6s")  # mail_id, end in minutes since 1970 UTC, digest of the recipient


@dataclass(frozen=True)
class Receipt:
    """Which mail, for which recipient, and until when the link works."""

    mail_id: str
    recipient_digest: str
    ends_at: datetime


class ReceiptLinks:
    """Makes and reads tokens with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, mail_id: str, recipient: str, now: datetime) -> str:
        """The last part of a link, of characters that stand in a URL as they are."""
        minutes = to_ms(now + LASTS) // 60_000
        place = _PLACE.pack(uuid.UUID(mail_id).bytes, minutes, recipient_digest(recipient).encode())
        packed = base64.urlsafe_b64encode(place).decode().rstrip("=")
        return f"{packed}.{self._mac(packed)}"

    def read(self, token: str, now: datetime) -> Receipt | None:
        """What a token says; None when it is not ours, was changed, or is over."""
        packed, _, mac = token.partition(".")
        if len(token) > MAX_TOKEN or not token.isascii() or not hmac.compare_digest(mac, self._mac(packed)):
            return None
        mail_id, minutes, digest = _PLACE.unpack(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        ends_at = from_ms(minutes * 60_000)
        return Receipt(str(uuid.UUID(bytes=mail_id)), digest.decode(), ends_at) if now < ends_at else None

    def _mac(self, packed: str) -> str:
        digest = hmac.new(self._key, f"receipt {packed}".encode(), hashlib.sha256).digest()
        return base64.b32encode(digest).decode()[:_MAC].lower()
