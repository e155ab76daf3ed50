"""Verify one gated signature: dkimpy's verifier, accelerated.

What is dkimpy's: the frame (message, signature tags, key, the errors it raises). What is replaced, because it
was measured as slow or wrong: canonicalization (linear here), the choice of fields (the signature itself is
never its own witness), RSA and Ed25519 (`cryptography`, with parsed keys). dkimpy's own parsers of messages,
tags and keys never see a message: the gate and `parse_key` stand before them.
"""

import copy
import hashlib
import threading
from typing import Any

import dkim
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from mail.authentication.canonicalize import canonical_body, hash_body, hash_fields, select_fields
from mail.authentication.gate_dkim import Signature
from mail.parse_headers import Message

LARGE_BODY = 512 * 1024  # bytes from which hashing belongs into a thread, off the event loop
_PADDING = PKCS1v15()
_PREHASHED = Prehashed(SHA256())


class AcceleratedDkim(dkim.DKIM):  # type: ignore[misc]
    """One message, any number of signatures, also in threads: each takes its own copy by `with_key`.

    The canonical bodies and their hashes are computed once and shared."""

    def __init__(self, message: Message) -> None:
        super().__init__()
        self.message = message
        self._bodies: dict[bool, bytes] = {}
        self._hashes: dict[tuple[bool, int | None], bytes] = {}
        self._lock = threading.Lock()

    def with_key(self, key: RSAPublicKey | Ed25519PublicKey | None) -> "AcceleratedDkim":
        mine = copy.copy(self)
        mine.pk = key
        return mine

    def body_hash(self, signature: Signature) -> tuple[bytes, int]:
        """(hash of what l= covers, length of the whole canonical body)."""
        relaxed = signature.relaxed_body
        with self._lock:
            if relaxed not in self._bodies:
                self._bodies[relaxed] = canonical_body(self.message.body, relaxed)
            key = (relaxed, signature.length)
            if key not in self._hashes:
                self._hashes[key] = hash_body(self._bodies[relaxed], signature.length)
            return self._hashes[key], len(self._bodies[relaxed])

    def verify_sig_process(self, sig: Signature, include_headers: Any, sig_header: int, dnsfunc: Any = None) -> bool:
        """True where the signature over the header fields is right; `sig_header` is its position.

        Raises dkim.ValidationError where the body hash differs, as dkimpy does."""
        if self.body_hash(sig)[0] != sig.body_hash:
            raise dkim.ValidationError("body hash mismatch")
        fields = self.message.fields
        selected = select_fields(fields, list(include_headers), skip=sig_header)
        digest = hash_fields(hashlib.sha256(), selected, fields[sig_header], sig.relaxed_header)
        return verify_digest(self.pk, sig.signature, digest)


def verify_digest(key: RSAPublicKey | Ed25519PublicKey | None, signature: bytes, digest: bytes) -> bool:
    """RSASSA-PKCS1-v1_5 (RFC 6376 §3.3.2) or PureEdDSA over the hash (RFC 8463 §3)."""
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature, digest, _PADDING, _PREHASHED)
        elif isinstance(key, Ed25519PublicKey):
            key.verify(signature, digest)
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True
