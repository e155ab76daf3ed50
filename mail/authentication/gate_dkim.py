"""Decide whether a DKIM-Signature may be verified at all (RFC 6376 §3.5, §6.1.1; RFC 8301).

The gate in front of dkimpy: whatever passes it is complete, consistent, covers From, and uses an algorithm
that is still allowed. Whatever does not carries the word and the reason that explain it.
"""

import re

import msgspec

from contracts.auth_results import AuthReason, DkimWord
from mail.authentication.parse_tags import TagError, decode_base64, decode_number, parse_tags, split_list
from mail.parse_addresses import to_ascii_domain
from mail.parse_headers import Field

CLOCK_SKEW = 36_000  # seconds that t= may lie ahead: clocks that are wrong by a time zone are common
MAX_SIGNED_NAMES = 1000
_FIELD_NAME = re.compile(rb"[\x21-\x39\x3c-\x7e]+")  # no colon, no semicolon
_HEX = re.compile(rb"=([0-9A-F]{2})")
_ALGORITHMS = ("rsa-sha256", "ed25519-sha256", "rsa-sha1")


class Signature(msgspec.Struct, frozen=True):
    """One DKIM-Signature or ARC-Message-Signature, read; verify it only where `reason` is OK."""

    word: DkimWord = DkimWord.PASS
    reason: AuthReason = AuthReason.OK
    detail: str = ""
    domain: str = ""
    selector: str = ""
    identity: str = ""
    algorithm: str = ""
    relaxed_header: bool = False
    relaxed_body: bool = False
    headers: tuple[bytes, ...] = ()
    body_hash: bytes = b""
    signature: bytes = b""
    start: str = ""  # of b=, as RFC 6008 quotes it
    length: int | None = None

    @property
    def kind(self) -> str:
        return self.algorithm.partition("-")[0]

    @property
    def key_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def canonicalization(self) -> str:
        words = ("simple", "relaxed")
        return f"{words[self.relaxed_header]}/{words[self.relaxed_body]}"


class Refused(Exception):
    """A signature that the gate stops."""

    def __init__(self, reason: AuthReason, detail: str, word: DkimWord = DkimWord.PERMERROR) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.word = reason, detail, word


def read_signature(field: Field, now: float) -> Signature:
    """Read and judge one DKIM-Signature field. Never raises."""
    try:
        tags = parse_tags(field.value)
    except TagError as error:
        return Signature(DkimWord.PERMERROR, AuthReason.SIGNATURE_SYNTAX, str(error))
    signature = describe(tags)
    try:
        if tags.get("v", b"") != b"1":
            raise Refused(AuthReason.SIGNATURE_VERSION, "v= is not 1")
        signature = judge(signature, tags, ("a", "b", "bh", "d", "h", "s"))
        identity_domain(signature, tags)
        query_methods(tags)
        judge_times(tags, now)
    except Refused as refused:
        return msgspec.structs.replace(signature, word=refused.word, reason=refused.reason, detail=refused.detail)
    return signature


def describe(tags: dict[str, bytes]) -> Signature:
    """What a reader wants to see even of a signature that is refused."""
    identity = _HEX.sub(lambda match: bytes([int(match[1], 16)]), tags.get("i", b""))
    return Signature(
        domain=to_ascii_domain(_text(tags.get("d", b""))),
        selector=_text(tags.get("s", b""))[:253].lower(),
        identity=_text(identity)[:320],
        algorithm=_text(tags.get("a", b""))[:40].lower(),
        start=_text(tags.get("b", b""))[:8],
        headers=tuple(re.sub(rb"[ \t\r\n]+", b"", tags.get("h", b"")).lower().split(b":")),
    )


def judge(signature: Signature, tags: dict[str, bytes], required: tuple[str, ...]) -> Signature:
    """The checks that DKIM and ARC message signatures share. Raises Refused."""
    for name in required:
        if not tags.get(name):
            raise Refused(AuthReason.SIGNATURE_SYNTAX, f"{name}= is missing or empty")
    if "." not in signature.domain:
        raise Refused(AuthReason.SIGNATURE_SYNTAX, "d= is not a domain name")
    if not to_ascii_domain(signature.selector):
        raise Refused(AuthReason.SIGNATURE_SYNTAX, "s= is not a selector")
    if signature.algorithm not in _ALGORITHMS:
        raise Refused(AuthReason.UNSUPPORTED_ALGORITHM, f"a={signature.algorithm} is unknown", DkimWord.NEUTRAL)
    names = signature.headers
    if len(names) > MAX_SIGNED_NAMES or any(_FIELD_NAME.fullmatch(name) is None for name in names):
        raise Refused(AuthReason.SIGNATURE_SYNTAX, "h= is not a list of field names")
    if b"from" not in names:
        raise Refused(AuthReason.FROM_NOT_SIGNED, "h= does not name From")
    value, body_hash = decode_base64(tags["b"]), decode_base64(tags["bh"])
    if value is None:
        raise Refused(AuthReason.SIGNATURE_SYNTAX, "b= is not base64")
    if body_hash is None:
        raise Refused(AuthReason.SIGNATURE_SYNTAX, "bh= is not base64")
    relaxed_header, relaxed_body = _canonicalization(tags.get("c", b"simple/simple"))
    length = decode_number(tags["l"]) if "l" in tags and len(tags["l"]) <= 15 else None
    if "l" in tags and length is None:
        raise Refused(AuthReason.SIGNATURE_SYNTAX, "l= is not a number")
    if signature.algorithm == "rsa-sha1":
        raise Refused(AuthReason.WEAK_ALGORITHM, "rsa-sha1 is no longer accepted (RFC 8301)", DkimWord.POLICY)
    return msgspec.structs.replace(
        signature,
        body_hash=body_hash,
        signature=value,
        relaxed_header=relaxed_header,
        relaxed_body=relaxed_body,
        length=length,
    )


def identity_domain(signature: Signature, tags: dict[str, bytes]) -> None:
    """i= must lie within d= (RFC 6376 §3.5, §6.1.1). Raises Refused."""
    if "i" not in tags:
        return
    _, at, domain = signature.identity.rpartition("@")
    if not at:
        raise Refused(AuthReason.SIGNATURE_SYNTAX, "i= holds no @")
    name = to_ascii_domain(domain)
    if name != signature.domain and not name.endswith("." + signature.domain):
        raise Refused(AuthReason.IDENTITY_MISMATCH, f"i= ({domain[:100]}) is not within d= ({signature.domain[:100]})")


def query_methods(tags: dict[str, bytes]) -> None:
    """q= must offer dns/txt, whatever else it offers (RFC 6376 §3.5). Raises Refused."""
    if "q" in tags and "dns/txt" not in split_list(tags["q"]):
        raise Refused(AuthReason.UNSUPPORTED_ALGORITHM, "q= does not offer dns/txt", DkimWord.NEUTRAL)


def judge_times(tags: dict[str, bytes], now: float) -> None:
    """t= and x= (RFC 6376 §3.5), in seconds since 1970. Raises Refused."""
    signed = _time(tags, "t")
    expires = _time(tags, "x")
    if signed is not None and signed > now + CLOCK_SKEW:
        raise Refused(AuthReason.SIGNATURE_FUTURE, f"t={signed} lies in the future")
    if expires is not None and signed is not None and expires < signed:
        raise Refused(AuthReason.SIGNATURE_SYNTAX, "x= lies before t=")
    if expires is not None and expires < now:
        raise Refused(AuthReason.SIGNATURE_EXPIRED, f"x={expires} is past")


def _time(tags: dict[str, bytes], name: str) -> int | None:
    if name not in tags:
        return None
    value = decode_number(tags[name])
    if value is None:
        raise Refused(AuthReason.SIGNATURE_SYNTAX, f"{name}= is not a time")
    return value


def _canonicalization(value: bytes) -> tuple[bool, bool]:
    header, slash, body = value.lower().partition(b"/")
    if header not in (b"simple", b"relaxed") or (slash and body not in (b"simple", b"relaxed")):
        raise Refused(AuthReason.UNSUPPORTED_ALGORITHM, "c= names an unknown canonicalization", DkimWord.NEUTRAL)
    return header == b"relaxed", body == b"relaxed"


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
