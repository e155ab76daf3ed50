"""Read a DKIM key record (RFC 6376 §3.6.1, RFC 8301, RFC 8463), bounded before any arithmetic.

A 16,384-bit modulus with an exponent of the same size takes seconds to compute with: size and exponent are
read from the DER first, and what is out of bounds never becomes a key. Parsed keys are cached by record.
"""

from functools import lru_cache

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from contracts.auth_results import AuthReason
from mail.authentication.parse_tags import TagError, decode_base64, parse_tags, split_list

MIN_RSA_BITS = 1024  # RFC 8301 §3.2
MAX_RSA_BITS = 8192
MAX_EXPONENT = 2**33
MAX_RECORD = 8192
_RSA_OID = bytes.fromhex("2a864886f70d010101")


class KeyRecord(msgspec.Struct, frozen=True):
    """A key record: usable where `reason` is OK."""

    reason: AuthReason = AuthReason.OK
    detail: str = ""
    kind: str = "rsa"  # k=
    bits: int = 0
    key: RSAPublicKey | Ed25519PublicKey | None = None
    hashes: tuple[str, ...] = ()  # h=; empty = all
    services: tuple[str, ...] = ()  # s=; empty = all
    testing: bool = False  # t=y
    strict: bool = False  # t=s: i= must name d= itself


@lru_cache(maxsize=4096)
def parse_key(record: bytes) -> KeyRecord:
    """Never raises. Unknown tags are ignored, as the RFC demands."""
    if len(record) > MAX_RECORD:
        return KeyRecord(AuthReason.KEY_TOO_LONG, "the key record is too long")
    try:
        tags = parse_tags(record)
    except TagError as error:
        return KeyRecord(AuthReason.KEY_SYNTAX, str(error))
    if "v" in tags and (tags["v"] != b"DKIM1" or next(iter(tags)) != "v"):
        return KeyRecord(AuthReason.KEY_SYNTAX, "v= is not DKIM1 or does not come first")
    if "p" not in tags:
        return KeyRecord(AuthReason.KEY_SYNTAX, "p= is missing")
    flags = split_list(tags.get("t", b""))
    base = KeyRecord(
        kind=tags.get("k", b"rsa").decode("ascii", "replace").lower(),
        hashes=tuple(split_list(tags.get("h", b""))),
        services=tuple(split_list(tags.get("s", b""))),
        testing="y" in flags,
        strict="s" in flags,
    )
    if not tags["p"]:
        return msgspec.structs.replace(base, reason=AuthReason.KEY_REVOKED, detail="p= is empty")
    data = decode_base64(tags["p"])
    if data is None:
        return msgspec.structs.replace(base, reason=AuthReason.KEY_SYNTAX, detail="p= is not base64")
    match base.kind:
        case "rsa":
            return _with_rsa(base, data)
        case "ed25519":
            return _with_ed25519(base, data)
        case _:
            return msgspec.structs.replace(
                base, reason=AuthReason.KEY_MISMATCH, detail=f"k={base.kind[:20]} is unknown"
            )


def _with_rsa(base: KeyRecord, data: bytes) -> KeyRecord:
    numbers = _read_rsa(data)
    if numbers is None:
        return msgspec.structs.replace(base, reason=AuthReason.KEY_SYNTAX, detail="p= holds no RSA public key")
    modulus, exponent = numbers
    bits = modulus.bit_length()
    if bits < MIN_RSA_BITS:
        return msgspec.structs.replace(base, bits=bits, reason=AuthReason.KEY_TOO_SHORT, detail=f"{bits} bits")
    if bits > MAX_RSA_BITS or exponent > MAX_EXPONENT:
        detail = f"{bits} bits, exponent of {exponent.bit_length()} bits"
        return msgspec.structs.replace(base, bits=bits, reason=AuthReason.KEY_TOO_LONG, detail=detail)
    try:
        key = RSAPublicNumbers(exponent, modulus).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return msgspec.structs.replace(
            base, bits=bits, reason=AuthReason.KEY_SYNTAX, detail="p= holds an impossible key"
        )
    return msgspec.structs.replace(base, bits=bits, key=key)


def _with_ed25519(base: KeyRecord, data: bytes) -> KeyRecord:
    try:
        return msgspec.structs.replace(base, bits=256, key=Ed25519PublicKey.from_public_bytes(data))
    except (ValueError, UnsupportedAlgorithm):
        return msgspec.structs.replace(base, reason=AuthReason.KEY_SYNTAX, detail="p= holds no Ed25519 public key")


def _read_rsa(data: bytes) -> tuple[int, int] | None:
    """(modulus, exponent) of a SubjectPublicKeyInfo or a bare RSAPublicKey (RFC 6376 §3.6.1, RFC 8017 A.1.1)."""
    try:
        outer, rest = _read(data, 0x30)
        if rest:
            return None
        if outer[:1] == b"\x30":
            algorithm, rest = _read(outer, 0x30)
            oid, _ = _read(algorithm, 0x06)
            bits, rest = _read(rest, 0x03)
            if oid != _RSA_OID or rest or bits[:1] != b"\x00":
                return None
            outer, rest = _read(bits[1:], 0x30)
            if rest:
                return None
        modulus, rest = _read(outer, 0x02)
        exponent, _ = _read(rest, 0x02)
    except (IndexError, ValueError):
        return None
    return int.from_bytes(modulus, "big"), int.from_bytes(exponent, "big")


def _read(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first DER element and what follows it. Raises ValueError or IndexError."""
    if data[0] != tag:
        raise ValueError("unexpected element")
    length, start = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        if not 0 < size <= 4:
            raise ValueError("impossible length")
        length, start = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    if len(data) < start + length:
        raise ValueError("cut short")
    return data[start : start + length], data[start + length :]
