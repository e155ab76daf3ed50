"""Evaluate DMARC for one author domain (RFC 9989 §4 and §5.3), with the answer of RFC 7489 beside it.

Always returns a result; DNS trouble is temperror where the outcome depends on it. ARC never changes it. What the author's domain asks
for is found first (`find_policy`), so that nothing that a sender may publish or slow down comes before it."""

from dataclasses import dataclass

import msgspec

from contracts.auth_results import (
    Alignment,
    AuthReason,
    DkimResult,
    DkimWord,
    DmarcPolicy,
    DmarcResult,
    DmarcWord,
    SpfResult,
    SpfWord,
    cut,
)
from contracts.dns_answers import Resolver
from mail.authentication.dmarc_record import DmarcRecord, lower
from mail.authentication.evidence import to_evidence
from mail.authentication.rfc7489 import answer_rfc7489
from mail.authentication.walk_tree import TreeWalk, WalkFailed


class Evaluation(msgspec.Struct, frozen=True):
    """The result, and how each identifier aligns (in the order of the DKIM results)."""

    result: DmarcResult
    spf: Alignment
    dkim: list[Alignment]


@dataclass
class AuthorPolicy:
    """What the author's domain asks for, before anything is known of the mail. `tag` is the record's: p, sp or np."""

    author: str
    walk: TreeWalk
    record_domain: str = ""
    record: DmarcRecord | None = None
    policy: DmarcPolicy = DmarcPolicy.NONE
    tag: str = ""
    failed: WalkFailed | None = None  # DNS did not say


async def check_dmarc(author: str, spf: SpfResult, dkim: list[DkimResult], resolver: Resolver) -> Evaluation:
    """`author` is the domain of From in A-labels."""
    return await evaluate_dmarc(await find_policy(author, resolver), spf, dkim, resolver)


async def find_policy(author: str, resolver: Resolver) -> AuthorPolicy:
    """The record that applies and the policy in it (§4.10.1)."""
    found = AuthorPolicy(author, TreeWalk(resolver))
    try:
        applies = await _discover(author, found.walk)
        if applies is not None:
            found.record_domain, found.record = applies
            if found.record.usable:
                found.policy, found.tag = await _select_policy(author, *applies, found.walk)
    except WalkFailed as failed:
        found.failed = failed
    return found


async def evaluate_dmarc(found: AuthorPolicy, spf: SpfResult, dkim: list[DkimResult], resolver: Resolver) -> Evaluation:
    """How the identifiers align, and whether one of them makes it a pass. `resolver` is asked about the identifiers."""
    walk = found.walk
    walk.go_on_with(resolver)
    domains = [spf.domain, *(signature.domain for signature in dkim)]
    if found.failed is None:
        alignments = [await _align(found.author, domain, walk) for domain in domains]
        result = await _conclude(found, alignments, spf, dkim)
    else:
        alignments = [Alignment.UNKNOWN] * len(domains)
        result = DmarcResult(DmarcWord.TEMPERROR, found.failed.reason, found.author, detail=str(found.failed))
    result = msgspec.structs.replace(result, dns=to_evidence(walk.answers))
    return Evaluation(result, alignments[0], alignments[1:])


async def _discover(author: str, walk: TreeWalk) -> tuple[str, DmarcRecord] | None:
    """The record that applies: the author domain's own, else its organizational domain's, else the one of the
    public suffix domain above (§4.10.1)."""
    own = await walk.record_at(author)
    if own is not None:
        return author, own
    records = await walk.records_above(author)
    organizational = await walk.organizational(author)
    for name, record in records:
        if name == organizational:
            return name, record
    return next(((name, record) for name, record in records if record.psd == "y"), None)


async def _align(author: str, other: str, walk: TreeWalk) -> Alignment:
    """Strict where equal, relaxed where the organizational domains are equal (§4.4). UNKNOWN where DNS failed."""
    if not other:
        return Alignment.NONE
    if other == author:
        return Alignment.STRICT
    if other.rpartition(".")[2] != author.rpartition(".")[2]:
        return Alignment.NONE  # nothing in common: no walk can find one organizational domain for both
    try:
        organizational = await walk.organizational(author)
        if other != organizational and not other.endswith("." + organizational):
            return Alignment.NONE
        same = await walk.organizational(other) == organizational
    except WalkFailed:
        return Alignment.UNKNOWN
    return Alignment.RELAXED if same else Alignment.NONE


async def _conclude(
    found: AuthorPolicy, alignments: list[Alignment], spf: SpfResult, dkim: list[DkimResult]
) -> DmarcResult:
    author, record, walk = found.author, found.record, found.walk
    if record is None:
        reason = AuthReason.DMARC_MULTIPLE_RECORDS if walk.multiple else AuthReason.DMARC_NO_RECORD
        detail = ", ".join(f"_dmarc.{name}" for name in walk.multiple)
        result = DmarcResult(DmarcWord.NONE, reason, author, detail=cut(detail, 256))
        return await _beside(result, author, spf, dkim, walk)
    base = DmarcResult(
        domain=author,
        organizational_domain=await _organizational(author, walk),
        record_domain=found.record_domain,
        record=cut(record.text),
        strict_spf=record.strict_spf,
        strict_dkim=record.strict_dkim,
    )
    if not record.usable:
        result = msgspec.structs.replace(base, result=DmarcWord.NONE, reason=AuthReason.DMARC_NO_POLICY)
        return await _beside(result, author, spf, dkim, walk)
    spf_best = alignments[0] if spf.result is SpfWord.PASS else Alignment.NONE
    passed = [alignment for one, alignment in zip(dkim, alignments[1:], strict=True) if one.result is DkimWord.PASS]
    dkim_best = _best(passed)
    word, reason = _judge(record, alignments, spf, dkim)
    result = msgspec.structs.replace(
        base,
        result=word,
        reason=reason,
        policy=lower(found.policy) if record.testing else found.policy,
        published_policy=f"{found.tag}={found.policy.value}",
        testing=record.testing,
        spf_alignment=spf_best,
        dkim_alignment=dkim_best,
    )
    return await _beside(result, author, spf, dkim, walk)


def _judge(
    record: DmarcRecord, alignments: list[Alignment], spf: SpfResult, dkim: list[DkimResult]
) -> tuple[DmarcWord, AuthReason]:
    """`pass` needs one aligned pass. A temporary error of what could have passed forbids `fail` (§5.3.2)."""
    outcomes = [(spf.result.value, alignments[0], record.strict_spf)]
    outcomes += [
        (one.result.value, alignment, record.strict_dkim) for one, alignment in zip(dkim, alignments[1:], strict=True)
    ]
    if any(word == "pass" and _aligned(alignment, strict) for word, alignment, strict in outcomes):
        return DmarcWord.PASS, AuthReason.OK
    for word, alignment, strict in outcomes:
        unknown = alignment is Alignment.UNKNOWN and not strict
        if (word == "temperror" and (unknown or _aligned(alignment, strict))) or (word == "pass" and unknown):
            return DmarcWord.TEMPERROR, AuthReason.DNS_TEMPERROR
    if any(word == "pass" for word, _, _ in outcomes):
        return DmarcWord.FAIL, AuthReason.NOT_ALIGNED
    return DmarcWord.FAIL, AuthReason.NOT_AUTHENTICATED


def _aligned(alignment: Alignment, strict: bool) -> bool:
    return alignment is Alignment.STRICT or (alignment is Alignment.RELAXED and not strict)


def _best(alignments: list[Alignment]) -> Alignment:
    for word in (Alignment.STRICT, Alignment.RELAXED, Alignment.UNKNOWN):
        if word in alignments:
            return word
    return Alignment.NONE


async def _select_policy(
    author: str, record_domain: str, record: DmarcRecord, walk: TreeWalk
) -> tuple[DmarcPolicy, str]:
    """p for the record's own domain; else np for a name that does not exist, sp for one that does (§4.10.1)."""
    if author == record_domain:
        return record.p, "p"
    if record.np is not None and not await walk.exists(author):
        return record.np, "np"
    return (record.sp, "sp") if record.sp is not None else (record.p, "p")


async def _organizational(author: str, walk: TreeWalk) -> str:
    try:
        return await walk.organizational(author)
    except WalkFailed:
        return ""


async def _beside(
    result: DmarcResult, author: str, spf: SpfResult, dkim: list[DkimResult], walk: TreeWalk
) -> DmarcResult:
    """Add what RFC 7489 would have said, where it says something else."""
    try:
        other = await answer_rfc7489(author, spf, dkim, walk)
    except WalkFailed:
        return result
    same = other.result is result.result and other.policy is result.policy and other.pct == 100
    return result if same else msgspec.structs.replace(result, rfc7489=other)
