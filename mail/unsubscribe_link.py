"""Links and addresses by which a recipient unsubscribes from a stream (RFC 8058, RFC 2369), with an HMAC so that nobody can make one up.

A link holds the recipient and the stream: it works without any state, for as long as the key is the same. An address holds the mail and a
digest of its recipient, as a bounce address does (`bounce_address.py`), and works as long as one.
"""

import json
from dataclasses import asdict, dataclass

from mail.signed_token import TokenSigner

MAX_TOKEN = 2000  # characters


@dataclass(frozen=True)
class Unsubscription:
    """Who unsubscribes from what, and by which mail."""

    mail_id: str
    recipient: str
    stream: str


class UnsubscribeLinks:
    """Makes and reads tokens with one key."""

    def __init__(self, key: bytes) -> None:
        self._signer = TokenSigner(key, "unsubscribe", MAX_TOKEN)

    def token(self, one: Unsubscription) -> str:
        """The last part of a link, of characters that stand in a URL as they are."""
        return self._signer.sign(json.dumps(asdict(one), separators=(",", ":")).encode())

    def read(self, token: str) -> Unsubscription | None:
        """What a token says; None when it is not ours, or was changed."""
        octets = self._signer.read(token)
        try:
            return Unsubscription(**json.loads(octets)) if octets is not None else None
        except (ValueError, TypeError):
            return None
