"""Verify the DKIM signatures of a message (RFC 6376 §6, RFC 8301, RFC 8463).

Always returns results; DNS trouble is temperror, never "no key". At most ten signatures are tried, so that a
message cannot buy more work than that."""

import asyncio

import dkim
import msgspec

from contracts.auth_results import AuthReason, DkimResult, DkimWord, cut
from contracts.dns_answers import DnsAnswer, DnsStatus, Resolver
from mail.authentication.evidence import to_evidence, to_text
from mail.authentication.gate_dkim import Signature, read_signature
from mail.authentication.parse_key import KeyRecord, parse_key
from mail.authentication.verify_signature import LARGE_BODY, AcceleratedDkim
from mail.parse_headers import Message

MAX_SIGNATURES = 10
MAX_KEYS = 4  # records at one selector that are tried (RFC 6376 §6.1.2 step 4)

_KEY_WORDS = {
    AuthReason.KEY_TOO_SHORT: DkimWord.POLICY,
    AuthReason.KEY_TOO_LONG: DkimWord.POLICY,
}


async def check_dkim(message: Message, resolver: Resolver, now: float) -> list[DkimResult]:
    """One result per signature, from the top; an empty list for a message without any."""
    positions = [position for position, field in enumerate(message.fields) if field.name == b"dkim-signature"]
    if not positions:
        return []
    verifier = AcceleratedDkim(message)
    checks = [_check_one(verifier, position, resolver, now) for position in positions[:MAX_SIGNATURES]]
    return [await checks[0]] if len(checks) == 1 else list(await asyncio.gather(*checks))


async def _check_one(verifier: AcceleratedDkim, position: int, resolver: Resolver, now: float) -> DkimResult:
    signature = read_signature(verifier.message.fields[position], now)
    result = _describe(signature)
    if signature.reason is not AuthReason.OK:
        return result
    answer = await resolver.query(signature.key_name, "TXT")
    result = msgspec.structs.replace(result, dns=to_evidence([answer]))
    refusal = _judge_answer(answer)
    if refusal is not None:
        return _refuse(result, *refusal)
    if len(verifier.message.body) > LARGE_BODY:
        return await asyncio.to_thread(_try_keys, verifier, position, signature, answer, result)
    return _try_keys(verifier, position, signature, answer, result)


def _judge_answer(answer: DnsAnswer) -> tuple[DkimWord, AuthReason, str] | None:
    if answer.failed:
        reason = AuthReason.DNS_BUDGET if answer.status is DnsStatus.BUDGET else AuthReason.DNS_TEMPERROR
        return DkimWord.TEMPERROR, reason, answer.status.value
    if not answer.texts():
        return DkimWord.PERMERROR, AuthReason.KEY_NOT_FOUND, answer.status.value
    return None


def _try_keys(
    verifier: AcceleratedDkim, position: int, signature: Signature, answer: DnsAnswer, result: DkimResult
) -> DkimResult:
    """With several records at the selector, the first that verifies counts, else the most telling failure."""
    tried = [_try_key(verifier, position, signature, record, result) for record in answer.texts()[:MAX_KEYS]]
    return min(tried, key=lambda one: _RANK.get(one.result, 9))


_RANK = {DkimWord.PASS: 0, DkimWord.FAIL: 1, DkimWord.POLICY: 2, DkimWord.NEUTRAL: 3, DkimWord.PERMERROR: 4}


def _try_key(
    verifier: AcceleratedDkim, position: int, signature: Signature, record: bytes, result: DkimResult
) -> DkimResult:
    key = parse_key(record)
    result = msgspec.structs.replace(result, record=cut(to_text(record)), key_bits=key.bits, testing=key.testing)
    if key.reason is not AuthReason.OK:
        return _refuse(result, _KEY_WORDS.get(key.reason, DkimWord.PERMERROR), key.reason, key.detail)
    mismatch = _judge_key(signature, key)
    if mismatch:
        return _refuse(result, DkimWord.PERMERROR, *mismatch)
    word, reason, detail = _verify(verifier, position, signature, key)
    if word is DkimWord.FAIL and key.testing:
        word = DkimWord.NEUTRAL  # a failure in test mode is no evidence (RFC 6376 §3.6.1 t=y)
    return msgspec.structs.replace(result, result=word, reason=reason, detail=detail)


def _judge_key(signature: Signature, key: KeyRecord) -> tuple[AuthReason, str] | None:
    """Does the key record allow this signature (RFC 6376 §3.6.1, §6.1.2)?"""
    if key.kind != signature.kind:
        return AuthReason.KEY_MISMATCH, f"a={signature.algorithm} with a key of type {key.kind[:20]}"
    if key.hashes and "sha256" not in key.hashes:
        return AuthReason.KEY_MISMATCH, "the key's h= does not allow sha256"
    if key.services and not {"*", "email"} & set(key.services):
        return AuthReason.KEY_MISMATCH, "the key's s= does not allow mail"
    if key.strict and "@" in signature.identity:
        domain = signature.identity.rpartition("@")[2].lower().rstrip(".")
        if domain != signature.domain:
            return AuthReason.IDENTITY_MISMATCH, "the key's t=s demands that i= names d= itself"
    return None


def _verify(
    verifier: AcceleratedDkim, position: int, signature: Signature, key: KeyRecord
) -> tuple[DkimWord, AuthReason, str]:
    try:
        total = verifier.body_hash(signature)[1]
        if signature.length is not None and signature.length > total:
            detail = f"l={signature.length}, the body has {total} bytes"
            return DkimWord.PERMERROR, AuthReason.BODY_LENGTH_TOO_LONG, detail
        valid = verifier.with_key(key.key).verify_sig_process(signature, signature.headers, position)
    except dkim.ValidationError:
        return DkimWord.FAIL, AuthReason.BODY_CHANGED, "the body hash does not match"
    if not valid:
        return DkimWord.FAIL, AuthReason.SIGNATURE_INVALID, "the signature does not match the signed header fields"
    if signature.length is not None and signature.length < total:
        return DkimWord.POLICY, AuthReason.BODY_LENGTH_PARTIAL, f"{total - signature.length} bytes are not signed"
    return DkimWord.PASS, AuthReason.OK, ""


def _describe(signature: Signature) -> DkimResult:
    return DkimResult(
        result=signature.word,
        reason=signature.reason,
        detail=cut(signature.detail, 256),
        domain=signature.domain,
        selector=signature.selector,
        identity=signature.identity,
        algorithm=signature.algorithm,
        canonicalization=signature.canonicalization,
        signed_headers=cut(b":".join(signature.headers[:100]).decode("ascii", "replace"), 512),
        signature_start=signature.start,
    )


def _refuse(result: DkimResult, word: DkimWord, reason: AuthReason, detail: str) -> DkimResult:
    return msgspec.structs.replace(result, result=word, reason=reason, detail=cut(detail, 256))
