"""DKIM key records: what is read, and what is refused before any arithmetic."""

import base64

import pytest

from mail.authentication.parse_key import parse_key
from tests.fakes.signed_mail import ed25519_key, rsa_key


def der_key(modulus: int, exponent: int) -> str:
    """An RSAPublicKey in base64, of any size."""

    def integer(value: int) -> bytes:
        return element(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))

    def element(tag: int, content: bytes) -> bytes:
        size = len(content)
        if size < 128:
            return bytes([tag, size]) + content
        length = size.to_bytes((size.bit_length() + 7) // 8, "big")
        return bytes([tag, 0x80 | len(length)]) + length + content

    return base64.b64encode(element(0x30, integer(modulus) + integer(exponent))).decode()


def test_rsa_and_ed25519_keys_are_read() -> None:
    assert (parse_key(rsa_key().key_record().encode()).bits, parse_key(rsa_key().key_record().encode()).kind) == (
        2048,
        "rsa",
    )
    assert parse_key(ed25519_key().key_record().encode()).kind == "ed25519"


def test_a_bare_rsa_public_key_is_read() -> None:
    assert parse_key(b"p=" + der_key((1 << 2047) + 1, 65537).encode()).bits == 2048


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"", "key_syntax"),
        (b"v=DKIM1", "key_syntax"),
        (b"v=DKIM2; p=abcd", "key_syntax"),
        (b"p=abcd; v=DKIM1", "key_syntax"),
        (b"v=DKIM1; p=", "key_revoked"),
        (b"v=DKIM1; p=  ; k=rsa", "key_revoked"),
        (b"v=DKIM1; p=!!!!", "key_syntax"),
        (b"v=DKIM1; p=AAAA", "key_syntax"),
        (b"v=DKIM1; k=dsa; p=AAAA", "key_mismatch"),
        (b"v=DKIM1; k=ed25519; p=AAAA", "key_syntax"),
        (b"v=DKIM1; k=ed25519; p=\xc3\xa9", "key_syntax"),
        (b"v=DKIM1; p=AAAA; p=BBBB", "key_syntax"),
        (b"not a record", "key_syntax"),
        (b"v=DKIM1; p=" + b"A" * 20_000, "key_too_long"),
        (b"v=DKIM1; p=" + der_key((1 << 511) + 1, 65537).encode(), "key_too_short"),
        (b"v=DKIM1; p=" + der_key((1 << 16383) + 1, 65537).encode(), "key_too_long"),
        (b"v=DKIM1; p=" + der_key((1 << 2047) + 1, (1 << 2040) + 1).encode(), "key_too_long"),
        (b"v=DKIM1; p=" + der_key((1 << 2047) + 1, 2).encode(), "key_syntax"),
        (b"v=DKIM1; p=" + base64.b64encode(b"\x30\x84\xff\xff\xff\xff"), "key_syntax"),
    ],
)
def test_unusable_records_say_why(record: bytes, reason: str) -> None:
    assert parse_key(record).reason == reason


def test_unknown_tags_are_ignored_and_lists_read() -> None:
    key = parse_key(rsa_key().key_record().encode() + b"; x=1; h=sha1 : sha256; s=email:tlsrpt; t = y : s; n=note")
    assert (key.hashes, key.services, key.testing, key.strict) == (("sha1", "sha256"), ("email", "tlsrpt"), True, True)
