"""Links to a receipt: what happened to one mail for one recipient, for whoever holds the link, until it ends. With an HMAC so that nobody
can make one up; it holds the place of the mail and no address."""

import struct
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.clock import from_ms, to_ms
from mail.bounce_address import recipient_digest
from mail.signed_token import TokenSigner

LASTS = timedelta(days=14)
MAX_TOKEN = 100  # characters
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
        self._signer = TokenSigner(key, "receipt", MAX_TOKEN)

    def token(self, mail_id: str, recipient: str, now: datetime) -> str:
        """The last part of a link, of characters that stand in a URL as they are."""
        minutes = to_ms(now + LASTS) // 60_000
        return self._signer.sign(_PLACE.pack(uuid.UUID(mail_id).bytes, minutes, recipient_digest(recipient).encode()))

    def read(self, token: str, now: datetime) -> Receipt | None:
        """What a token says; None when it is not ours, was changed, or is over."""
        octets = self._signer.read(token)
        if octets is None:
            return None
        mail_id, minutes, digest = _PLACE.unpack(octets)
        ends_at = from_ms(minutes * 60_000)
        return Receipt(str(uuid.UUID(bytes=mail_id)), digest.decode(), ends_at) if now < ends_at else None
