"""Links and addresses by which a recipient unsubscribes from a stream (RFC 8058, RFC 2369), with an HMAC so that nobody can make one up.

A link holds the recipient and the stream: it works without any state, for as long as the key is the same. An address holds the mail and a
digest of its recipient, as a bounce address does (`bounce_address.py`), and works as long as one.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass

MAX_TOKEN = 2000  # characters
_MAC = 20  # characters of base32: 100 bits


@dataclass(frozen=True)
class Unsubscription:
    """Who unsubscribes from what, and by which mail."""

    mail_id: str
    recipient: str
    stream: str


class UnsubscribeLinks:
    """Makes and reads tokens with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, one: Unsubscription) -> str:
        """The last part of a link, of characters that stand in a URL as they are."""
        packed = base64.urlsafe_b64encode(json.dumps(asdict(one), separators=(",", ":")).encode()).decode().rstrip("=")
        return f"{packed}.{self._mac(packed)}"

    def read(self, token: str) -> Unsubscription | None:
        """What a token says; None when it is not ours, or was changed."""
        packed, _, mac = token.partition(".")
        if len(token) > MAX_TOKEN or not token.isascii() or not hmac.compare_digest(mac, self._mac(packed)):
            return None
        try:
            return Unsubscription(**json.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))))
        except (binascii.Error, ValueError, TypeError):
            return None

    def _mac(self, packed: str) -> str:
        digest = hmac.new(self._key, f"unsubscribe {packed}".encode(), hashlib.sha256).digest()
        return base64.b32encode(digest).decode()[:_MAC].lower()
