"""Sign outbound mail with DKIM (RFC 6376 §5, RFC 8463), relaxed/relaxed.

From is signed once more than it stands in the message, so that nobody can add a second one; List-Unsubscribe
and List-Unsubscribe-Post are covered, as the large receivers ask of bulk mail (RFC 8058 §4)."""

import base64
import hashlib
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from contracts.errors import ConfigurationError
from mail.authentication.canonicalize import hash_body, hash_fields, relaxed_body, select_fields
from mail.parse_headers import Field, Message

MIN_RSA_BITS = 1024  # RFC 8301 §3.2
SIGNED = frozenset(
    b"from sender reply-to to cc subject date message-id in-reply-to references mime-version content-type"
    b" content-transfer-encoding content-id content-description resent-date resent-from resent-sender resent-to"
    b" resent-cc resent-message-id list-id list-help list-unsubscribe list-unsubscribe-post list-subscribe list-post"
    b" list-owner list-archive auto-submitted feedback-id".split()
)


class SigningKey:
    """A private key, ready to sign digests; never shown."""

    def __init__(self, key: RSAPrivateKey | Ed25519PrivateKey) -> None:
        self._key = key
        self.algorithm = "rsa-sha256" if isinstance(key, RSAPrivateKey) else "ed25519-sha256"

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm})"

    def sign(self, digest: bytes) -> bytes:
        """Sign a SHA-256 digest (RFC 6376 §3.3.2, RFC 8463 §3)."""
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(digest, PKCS1v15(), Prehashed(SHA256()))
        return self._key.sign(digest)

    def key_record(self) -> str:
        """The TXT record that belongs at selector._domainkey.domain."""
        public = self._key.public_key()
        if isinstance(self._key, RSAPrivateKey):
            data, kind = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), "rsa"
        else:
            data, kind = public.public_bytes(Encoding.Raw, PublicFormat.Raw), "ed25519"
        return f"v=DKIM1; k={kind}; p={base64.b64encode(data).decode('ascii')}"


@lru_cache(maxsize=256)
def load_signing_key(pem: bytes) -> SigningKey:
    """Read an RSA or Ed25519 private key from PEM (PKCS#1 or PKCS#8). Raises ValueError that says what is wrong,
    never with the key in it."""
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("the DKIM key is not an unencrypted PEM private key") from error
    if isinstance(key, RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise ValueError(f"the DKIM key has {key.key_size} bits: receivers refuse less than {MIN_RSA_BITS}")
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("the DKIM key is neither RSA nor Ed25519")
    return SigningKey(key)


def read_signing_key(path: Path, setting: str) -> SigningKey:
    """The key of a setting. ConfigurationError names the setting and what is wrong with its file."""
    try:
        return load_signing_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{setting}: {path} cannot be used: {error}") from error


DomainKeys = dict[str, list[tuple[str, SigningKey]]]  # by outbound domain: (selector, key) pairs


def read_domain_keys(files: Mapping[str, Iterable[tuple[str, Path]]]) -> DomainKeys:
    """The keys that sign for each outbound domain, from its (selector, key file) pairs in the settings' order. ConfigurationError names the
    setting and what is wrong with its file."""
    return {
        domain: [
            (selector, read_signing_key(path, f"outbound.domains.{domain}.dkim[{number}].key_file"))
            for number, (selector, path) in enumerate(pairs)
        ]
        for domain, pairs in files.items()
    }


def sign_dkim(message: Message, domain: str, keys: Sequence[tuple[str, SigningKey]], now: float) -> bytes:
    """A DKIM-Signature field for each (selector, key), CRLF included, to put before the message; `now` in seconds since 1970. The body
    is hashed once, however many keys sign.

    Raises ValueError for a message without From, which must not be signed (RFC 6376 §5.4)."""
    names = signed_names(message)
    if b"from" not in names:
        raise ValueError("a message without From cannot be signed")
    body_hash = hash_of(message) if keys else ""
    fields = []
    for selector, key in keys:
        tags = f"v=1; a={key.algorithm}; c=relaxed/relaxed; d={domain}; s={selector}; t={int(now)}"
        fields.append(sign_fields(b"DKIM-Signature", tags, message, names, key, body_hash))
    return b"".join(fields)


def hash_of(message: Message) -> str:
    """The value of bh= over the whole relaxed body."""
    return base64.b64encode(hash_body(relaxed_body(message.body), None)).decode("ascii")


def signed_names(message: Message) -> list[bytes]:
    """One entry for each field that is signed, and one more for From."""
    names = [field.name for field in message.fields if field.name in SIGNED]
    return [*names, b"from"] if b"from" in names else names


def sign_fields(name: bytes, tags: str, message: Message, names: list[bytes], key: SigningKey, body_hash: str) -> bytes:
    """Sign `names` and the body under the field `name` that begins with `tags`; shared with ARC."""
    joined = ": ".join(item.decode("ascii") for item in names)
    listed = textwrap.wrap(joined, 70, break_long_words=False, break_on_hyphens=False)
    value = f" {tags};\r\n\th=" + "\r\n\t ".join(listed) + f";\r\n\tbh={body_hash};\r\n\tb="
    own = Field(name.lower(), name + b":" + value.encode("ascii"), len(name))
    digest = hash_fields(hashlib.sha256(), select_fields(message.fields, names), own, relaxed=True)
    return own.raw + fold_base64(key.sign(digest)) + b"\r\n"


def fold_base64(data: bytes) -> bytes:
    text = base64.b64encode(data)
    return b"\r\n\t ".join(text[start : start + 70] for start in range(0, len(text), 70))
