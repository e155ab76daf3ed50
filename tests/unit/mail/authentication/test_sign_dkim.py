"""Our signatures: dkimpy and our own verifier accept them, keys stay secret."""

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mail.authentication.sign_dkim import SigningKey, load_signing_key, sign_dkim
from mail.parse_headers import split_message

RAW = (
    b"From: joe@example.org\r\nTo: ann@example.net\r\nSubject: a\r\nList-Unsubscribe: <https://example.org/u>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nX-Other: 1\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nHello  \r\n\r\n\r\n"
)
RSA = generate_private_key(public_exponent=65537, key_size=2048)
ED25519 = Ed25519PrivateKey.generate()


def by_dkimpy(raw: bytes, key: SigningKey) -> bool:
    return bool(dkim.DKIM(raw).verify(dnsfunc=lambda name, timeout=5: key.key_record().encode()))


@pytest.mark.parametrize("key", [SigningKey(RSA), SigningKey(ED25519)], ids=["rsa", "ed25519"])
def test_dkimpy_accepts_it_and_notices_changes(key: SigningKey) -> None:
    field = sign_dkim(split_message(RAW), "example.org", [("s1", key)], 1_790_000_000)
    assert by_dkimpy(field + RAW, key)
    assert by_dkimpy(field + b"X-New: 1\r\n" + RAW.replace(b"X-Other: 1", b"X-Other: 2"), key)
    for old, new in ((b"joe@", b"ann@"), (b"One-Click", b"No-Click"), (b"example.org/u", b"evil.example/u")):
        assert not by_dkimpy(field + RAW.replace(old, new), key)


def test_second_from_breaks_the_signature() -> None:
    key = SigningKey(RSA)
    field = sign_dkim(split_message(RAW), "example.org", [("s1", key)], 1_790_000_000)
    assert b"from:" in field and field.lower().count(b"from") == 2
    assert not by_dkimpy(field + b"From: ceo@bank.example\r\n" + RAW, key)


def test_lines_are_short_and_end_in_crlf() -> None:
    field = sign_dkim(split_message(RAW), "example.org", [("s1", SigningKey(RSA))], 1_790_000_000)
    assert field.endswith(b"\r\n")
    assert max(len(line) for line in field.split(b"\r\n")) <= 100


def test_message_without_from_is_not_signed() -> None:
    with pytest.raises(ValueError, match="From"):
        sign_dkim(split_message(b"To: a@b.example\r\n\r\n"), "example.org", [("s1", SigningKey(RSA))], 0)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_keys_are_read_from_pem(form: PrivateFormat) -> None:
    assert load_signing_key(RSA.private_bytes(Encoding.PEM, form, NoEncryption())).algorithm == "rsa-sha256"
    pem = ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert load_signing_key(pem).algorithm == "ed25519-sha256"


def test_unusable_keys_are_refused_without_showing_them() -> None:
    curve = generate_ec(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem in (b"", b"secret", b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", curve):
        with pytest.raises(ValueError, match="DKIM key") as error:
            load_signing_key(pem)
        assert "secret" not in str(error.value)
    assert "object" not in repr(SigningKey(RSA)) and "rsa-sha256" in repr(SigningKey(RSA))
