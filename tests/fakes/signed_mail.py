"""Keys, zones and signed messages for the tests of authentication."""

import base64
import hashlib
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from contracts.auth_results import AuthResults
from mail.authentication import ReceivedMail, authenticate
from mail.authentication.canonicalize import canonical_body, hash_body, hash_fields, select_fields
from mail.authentication.sign_dkim import SigningKey
from mail.parse_headers import Field, split_message
from tests.fakes.zone import Zone

NOW = 1_790_000_000
PEER = "192.0.2.1"
MESSAGE = (
    b"From: Joe <joe@example.org>\r\nTo: ann@example.net\r\nSubject: A  question\r\n about folding\r\n"
    b"Date: Mon, 21 Sep 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello  Ann,\t\r\n\r\nJoe\r\n\r\n"
)


@lru_cache(maxsize=8)
def rsa_key(bits: int = 2048) -> SigningKey:
    return SigningKey(generate_private_key(public_exponent=65537, key_size=bits))


@lru_cache(maxsize=1)
def ed25519_key() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.generate())


def zone(**changes: Any) -> Zone:
    """example.org as it should be; `changes` replace names ("." written as "__")."""
    records: dict[str, dict[str, Any]] = {
        "example.org": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"], "MX": ["10 mx.example.org"], "A": ["192.0.2.1"]},
        "mx.example.org": {"A": ["192.0.2.1"]},
        "s1._domainkey.example.org": {"TXT": [rsa_key().key_record()]},
        "ed._domainkey.example.org": {"TXT": [ed25519_key().key_record()]},
        "_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject"]},
        "1.2.0.192.in-addr.arpa": {"PTR": ["mx.example.org"]},
        "s1._domainkey.vendor.example": {"TXT": [rsa_key().key_record()]},
    }
    for name, types in changes.items():
        records[name.replace("__", ".")] = types
    return Zone(records)


def sign(
    message: bytes = MESSAGE,
    *,
    tags: dict[str, str | None] | None = None,
    key: SigningKey | None = None,
    names: str = "from:to:subject:date:message-id",
    field: str = "DKIM-Signature",
) -> bytes:
    """`message` under a signature whose tags a test may set, or leave out with None; the hashes fit the tags."""
    key = key or rsa_key()
    written: dict[str, str | None] = {
        "v": "1",
        "a": key.algorithm,
        "c": "relaxed/relaxed",
        "d": "example.org",
        "s": "s1" if key.algorithm.startswith("rsa") else "ed",
        "h": names,
    }
    written |= tags or {}
    parsed = split_message(message)
    header, _, body = (written["c"] or "simple/simple").partition("/")
    length = int(written["l"]) if (written.get("l") or "").isdigit() else None
    digest = hash_body(canonical_body(parsed.body, body == "relaxed"), length)
    written.setdefault("bh", base64.b64encode(digest).decode())
    text = "; ".join(f"{name}={value}" for name, value in written.items() if value is not None)
    prefix = f"{field}: {text}; b=".encode()
    own = Field(field.lower().encode(), prefix, len(field))
    signed = [name.strip().encode() for name in (written["h"] or "").split(":")]
    selected = select_fields(parsed.fields, signed)
    if b"from" not in [name.lower() for name in signed]:
        selected = [one for one in selected if one.name != b"from"]
    signature = key.sign(hash_fields(hashlib.sha256(), selected, own, header == "relaxed"))
    return prefix + base64.b64encode(signature) + b"\r\n" + message


async def check(raw: bytes, records: Zone | None = None, **envelope: Any) -> AuthResults:
    """Authenticate `raw` as if example.org's own host had sent it."""
    given: dict[str, Any] = {
        "peer_ip": PEER,
        "helo": "mx.example.org",
        "envelope_from": "joe@example.org",
        "authserv_id": "mx.example.com",
        "now": float(NOW),
    }
    return await authenticate(ReceivedMail(raw, **(given | envelope)), records or zone())
