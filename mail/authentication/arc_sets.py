"""Collect the ARC sets of a message and judge their structure (RFC 8617 §4, §5.2 steps 1 to 3)."""

import re

import msgspec

from contracts.auth_results import AuthReason, DkimWord
from mail.authentication.gate_dkim import Refused, Signature, describe, judge, judge_times
from mail.authentication.parse_tags import TagError, decode_base64, decode_number, parse_tags
from mail.parse_addresses import to_ascii_domain
from mail.parse_headers import Field, Message

MAX_SETS = 50  # RFC 8617 §4.2.1
_NAMES = (b"arc-authentication-results", b"arc-message-signature", b"arc-seal")
_INSTANCE = re.compile(rb"[ \t\r\n]*i[ \t\r\n]*=[ \t\r\n]*([0-9]{1,3})[ \t\r\n]*(?:\([^()]*\)[ \t\r\n]*)?;")


class ArcBroken(Exception):
    """The chain is broken; `word` tells a temporary failure apart."""

    def __init__(self, reason: AuthReason, detail: str, temporary: bool = False) -> None:
        super().__init__(detail)
        self.reason, self.detail, self.temporary = reason, detail, temporary


class Seal(msgspec.Struct, frozen=True):
    """An ARC-Seal, read (§4.1.3)."""

    cv: str
    domain: str
    selector: str
    algorithm: str
    signature: bytes

    @property
    def kind(self) -> str:
        return self.algorithm.partition("-")[0]

    @property
    def key_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


class ArcSet(msgspec.Struct, frozen=True):
    """The three fields of one instance, and where they stand in the message."""

    instance: int
    fields: tuple[Field, Field, Field]  # results, message signature, seal
    positions: tuple[int, int, int]


def collect_sets(message: Message) -> list[ArcSet]:
    """Sets 1 to N in order, each whole and single; [] without ARC. Raises ArcBroken."""
    found: dict[int, dict[bytes, int]] = {}
    for position, field in enumerate(message.fields):
        if field.name not in _NAMES:
            continue
        instance = _instance(field)
        if instance is None or not 1 <= instance <= MAX_SETS:
            raise ArcBroken(AuthReason.ARC_STRUCTURE, f"{field.name.decode()} without a valid i=")
        if field.name in found.setdefault(instance, {}):
            raise ArcBroken(AuthReason.ARC_STRUCTURE, f"{field.name.decode()} i={instance} stands twice")
        found[instance][field.name] = position
    sets = []
    for instance in range(1, len(found) + 1):
        positions = tuple(found.get(instance, {}).get(name, -1) for name in _NAMES)
        if -1 in positions:
            raise ArcBroken(AuthReason.ARC_STRUCTURE, f"set i={instance} is not complete")
        results, signature, seal = positions
        fields = message.fields
        sets.append(ArcSet(instance, (fields[results], fields[signature], fields[seal]), (results, signature, seal)))
    return sets


def read_seal(field: Field, now: float) -> Seal:
    """Read an ARC-Seal. Raises ArcBroken."""
    try:
        tags = parse_tags(field.value)
        if "h" in tags or "bh" in tags:
            raise ArcBroken(AuthReason.ARC_STRUCTURE, "an ARC-Seal must not have h= or bh=")
        judge_times({name: value for name, value in tags.items() if name == "t"}, now)
    except TagError as error:
        raise ArcBroken(AuthReason.ARC_STRUCTURE, f"ARC-Seal: {error}") from error
    except Refused as refused:
        raise ArcBroken(AuthReason.ARC_SEAL_INVALID, f"ARC-Seal: {refused.detail}") from refused
    value = decode_base64(tags.get("b", b""))
    seal = Seal(
        cv=tags.get("cv", b"").decode("ascii", "replace").lower(),
        domain=to_ascii_domain(tags.get("d", b"").decode("utf-8", "replace")),
        selector=to_ascii_domain(tags.get("s", b"").decode("utf-8", "replace")),
        algorithm=tags.get("a", b"").decode("ascii", "replace").lower(),
        signature=value or b"",
    )
    if not seal.domain or not seal.selector or value is None:
        raise ArcBroken(AuthReason.ARC_STRUCTURE, "ARC-Seal: d=, s= or b= is missing or malformed")
    if seal.cv not in ("none", "pass", "fail"):
        raise ArcBroken(AuthReason.ARC_STRUCTURE, "ARC-Seal: cv= is missing or unknown")
    if seal.algorithm not in ("rsa-sha256", "ed25519-sha256"):
        raise ArcBroken(AuthReason.ARC_SEAL_INVALID, f"ARC-Seal: a={seal.algorithm[:20]} is not accepted")
    return seal


def read_message_signature(field: Field, now: float) -> Signature:
    """Read an ARC-Message-Signature: a DKIM-Signature without v=, with i= for the instance (§4.1.2).

    Raises ArcBroken."""
    try:
        tags = parse_tags(field.value)
        if "v" in tags:
            raise ArcBroken(AuthReason.ARC_MESSAGE_INVALID, "an ARC-Message-Signature must not have v=")
        signature = judge(describe(tags), tags, ("a", "b", "bh", "d", "h", "s"))
        judge_times(tags, now)
    except TagError as error:
        raise ArcBroken(AuthReason.ARC_MESSAGE_INVALID, str(error)) from error
    except Refused as refused:
        raise ArcBroken(AuthReason.ARC_MESSAGE_INVALID, refused.detail) from refused
    if b"arc-seal" in signature.headers:
        raise ArcBroken(AuthReason.ARC_MESSAGE_INVALID, "h= must not name ARC-Seal")
    return msgspec.structs.replace(signature, word=DkimWord.PASS, identity="")


def _instance(field: Field) -> int | None:
    if field.name == _NAMES[0]:
        match = _INSTANCE.match(field.value)
        return int(match[1]) if match else None
    try:
        return decode_number(parse_tags(field.value).get("i", b""))
    except TagError as error:
        raise ArcBroken(AuthReason.ARC_STRUCTURE, f"{field.name.decode()}: {error}") from error
