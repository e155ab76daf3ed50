"""Tokens that hold some octets and an HMAC over them, of characters that stand in a URL as they are: nobody can make one up, and what is
signed for one purpose is nothing for another."""

import base64
import binascii
import hashlib
import hmac

_MAC = 20  # characters of base32: 100 bits


class TokenSigner:
    """Makes and reads tokens of one purpose with one key."""

    def __init__(self, key: bytes, purpose: str, longest: int) -> None:
        """`longest`: characters of a token that is read."""
        self._key = key
        self._purpose = purpose
        self._longest = longest

    def sign(self, octets: bytes) -> str:
        """The token of these octets."""
        packed = base64.urlsafe_b64encode(octets).decode().rstrip("=")
        return f"{packed}.{self._mac(packed)}"

    def read(self, token: str) -> bytes | None:
        """What a token holds; None when it is not ours, or was changed."""
        packed, _, mac = token.partition(".")
        if len(token) > self._longest or not token.isascii() or not hmac.compare_digest(mac, self._mac(packed)):
            return None
        try:
            return base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        except binascii.Error:
            return None

    def _mac(self, packed: str) -> str:
        digest = hmac.new(self._key, f"{self._purpose} {packed}".encode(), hashlib.sha256).digest()
        return base64.b32encode(digest).decode()[:_MAC].lower()
