"""Validate the ARC chain of a message (RFC 8617 §5.2).

Verified and logged: the outcome never overrides DMARC by itself. Always returns a result."""

import asyncio
import hashlib

import dkim
import msgspec

from contracts.auth_results import ArcResult, ArcWord, AuthReason, cut
from contracts.dns_answers import DnsAnswer, DnsStatus, Resolver
from mail.authentication.arc_sets import (
    ArcBroken,
    ArcSet,
    Seal,
    collect_sets,
    read_message_signature,
    read_seal,
)
from mail.authentication.canonicalize import relaxed_field, without_signature
from mail.authentication.evidence import to_evidence, to_text
from mail.authentication.gate_dkim import Signature
from mail.authentication.parse_key import KeyRecord, parse_key
from mail.authentication.verify_signature import LARGE_BODY, AcceleratedDkim, verify_digest
from mail.parse_headers import Message

MAX_OLDER = 10  # message signatures before the newest that are tried
MAX_KEYS = 20  # keys that one chain may need: real ones have a handful of sealers


async def check_arc(message: Message, resolver: Resolver, now: float) -> ArcResult:
    """`pass` where the structure is right, the newest message signature and every seal verify."""
    answers: list[DnsAnswer] = []
    result = ArcResult()
    try:
        sets = collect_sets(message)
        if not sets:
            return result
        result = msgspec.structs.replace(result, instances=len(sets), authentication_results=_newest_results(sets))
        seals = [read_seal(one.fields[2], now) for one in sets]
        result = _describe(result, seals)
        _judge_statuses(seals)
        keys = {seal.key_name for seal in seals}
        if len(keys) > MAX_KEYS:
            raise ArcBroken(
                AuthReason.ARC_STRUCTURE, f"its seals need {len(keys)} keys; {MAX_KEYS} are fetched at most"
            )
        verifier = AcceleratedDkim(message)
        await _verify_message(verifier, sets[-1], resolver, now, answers)
        bits, record = await _verify_seals(sets, seals, resolver, answers)
        oldest = await _oldest_pass(verifier, sets, resolver, now, answers)
        result = msgspec.structs.replace(
            result, result=ArcWord.PASS, oldest_pass=oldest, key_bits=bits, record=cut(record)
        )
    except ArcBroken as broken:
        word = ArcWord.TEMPERROR if broken.temporary else ArcWord.FAIL
        result = msgspec.structs.replace(result, result=word, reason=broken.reason, detail=cut(broken.detail, 256))
    return msgspec.structs.replace(result, dns=to_evidence(answers))


def _judge_statuses(seals: list[Seal]) -> None:
    """The first seal states none, every later one pass (§5.2 steps 2 and 3)."""
    if seals[-1].cv == "fail":
        raise ArcBroken(AuthReason.ARC_CV_FAIL, f"seal {len(seals)} states cv=fail")
    for instance, seal in enumerate(seals, 1):
        if seal.cv != ("none" if instance == 1 else "pass"):
            raise ArcBroken(AuthReason.ARC_STRUCTURE, f"seal {instance} states cv={seal.cv}")


async def _verify_message(
    verifier: AcceleratedDkim, one: ArcSet, resolver: Resolver, now: float, answers: list[DnsAnswer]
) -> None:
    signature = read_message_signature(one.fields[1], now)
    keys = await _keys(signature, resolver, answers, AuthReason.ARC_MESSAGE_INVALID)
    if len(verifier.message.body) > LARGE_BODY:
        await asyncio.to_thread(verifier.body_hash, signature)
    if signature.length is not None and signature.length != verifier.body_hash(signature)[1]:
        raise ArcBroken(AuthReason.ARC_MESSAGE_INVALID, "l= does not cover the whole body")
    for key in keys:
        try:
            if verifier.with_key(key.key).verify_sig_process(signature, signature.headers, one.positions[1]):
                return
        except dkim.ValidationError as error:
            raise ArcBroken(AuthReason.ARC_MESSAGE_INVALID, f"message signature {one.instance}: {error}") from error
    raise ArcBroken(AuthReason.ARC_MESSAGE_INVALID, f"message signature {one.instance} does not match")


async def _verify_seals(
    sets: list[ArcSet], seals: list[Seal], resolver: Resolver, answers: list[DnsAnswer]
) -> tuple[int, str]:
    """Every seal covers all sets up to its own, in order (§5.1.1). Gives bits and record of the newest key."""
    hashed = hashlib.sha256()
    newest = (0, "")
    for one, seal in zip(sets, seals, strict=True):
        results, signature, own = one.fields
        hashed.update(relaxed_field(results) + b"\r\n" + relaxed_field(signature) + b"\r\n")
        mine = hashed.copy()
        mine.update(relaxed_field(without_signature(own)))
        keys = await _keys(seal, resolver, answers, AuthReason.ARC_SEAL_INVALID)
        if not any(verify_digest(key.key, seal.signature, mine.digest()) for key in keys):
            raise ArcBroken(AuthReason.ARC_SEAL_INVALID, f"seal {one.instance} does not match")
        hashed.update(relaxed_field(own) + b"\r\n")
        newest = (keys[0].bits, to_text(answers[-1].texts()[0]))
    return newest


async def _oldest_pass(
    verifier: AcceleratedDkim, sets: list[ArcSet], resolver: Resolver, now: float, answers: list[DnsAnswer]
) -> int:
    """The lowest instance whose message signature still verifies, 0 where all do (§5.2 step 5)."""
    for one in reversed(sets[-MAX_OLDER - 1 : -1]):
        try:
            await _verify_message(verifier, one, resolver, now, answers)
        except ArcBroken:
            return one.instance + 1
    return 0 if len(sets) <= MAX_OLDER + 1 else len(sets) - MAX_OLDER


async def _keys(
    signed: Signature | Seal, resolver: Resolver, answers: list[DnsAnswer], invalid: AuthReason
) -> list[KeyRecord]:
    answer = await resolver.query(signed.key_name, "TXT")
    answers.append(answer)
    if answer.failed:
        reason = AuthReason.DNS_BUDGET if answer.status is DnsStatus.BUDGET else AuthReason.DNS_TEMPERROR
        raise ArcBroken(reason, f"{answer.status.value} for {signed.key_name}", temporary=True)
    keys = [parse_key(record) for record in answer.texts()[:4]]
    usable = [key for key in keys if key.key is not None and key.kind == signed.kind and _allows(key)]
    if not usable:
        raise ArcBroken(invalid, f"no usable key at {signed.key_name}")
    return usable


def _allows(key: KeyRecord) -> bool:
    if key.hashes and "sha256" not in key.hashes:
        return False
    return not key.services or bool({"*", "email"} & set(key.services))


def _newest_results(sets: list[ArcSet]) -> str:
    return cut(sets[-1].fields[0].text(), 1024)


def _describe(result: ArcResult, seals: list[Seal]) -> ArcResult:
    return msgspec.structs.replace(
        result,
        domain=seals[-1].domain,
        selector=seals[-1].selector,
        algorithm=seals[-1].algorithm,
        sealers=tuple(seal.domain for seal in seals),
    )
