"""Authenticate one mail: run every check over one look at the message, and conclude DMARC from what they found."""

import time
from datetime import UTC, datetime

import msgspec

from contracts.auth_results import (
    Alignment,
    AuthReason,
    AuthResults,
    DmarcPolicy,
    DmarcResult,
    DmarcWord,
    cut,
)
from contracts.dns_answers import Resolver
from mail.authentication.check_dkim import MAX_SIGNATURES
from mail.authentication.check_dmarc import Evaluation, evaluate_dmarc
from mail.authentication.explain import explain
from mail.authentication.find_author import Author, find_author
from mail.authentication.run_checks import Findings, ReceivedMail, guard, run_checks
from mail.authentication.strip_auth_results import is_ours
from mail.parse_headers import Flag, Message, split_message


async def authenticate(mail: ReceivedMail, resolver: Resolver) -> AuthResults:
    """Evaluate SPF, DKIM, DMARC, ARC and iprev. Always returns results, never raises: DNS trouble is temperror,
    and a check that fails on an input says `internal_error` while the others stand."""
    now = time.time() if mail.now is None else mail.now
    mail = _encodable(mail)
    message = split_message(mail.raw) if mail.message is None else mail.message
    author = find_author(message)
    found = await run_checks(mail, message, author.domains, resolver, now)
    spf, dkim = found.spf, found.dkim
    evaluation = await guard(
        _evaluate(author, found),
        Evaluation(DmarcResult(DmarcWord.PERMERROR, AuthReason.INTERNAL_ERROR), Alignment.UNKNOWN, []),
    )
    results = AuthResults(
        spf=msgspec.structs.replace(spf, alignment=evaluation.spf),
        dkim=tuple(
            msgspec.structs.replace(one, alignment=alignment)
            for one, alignment in zip(dkim, evaluation.dkim or [Alignment.UNKNOWN] * len(dkim), strict=True)
        ),
        dmarc=evaluation.result,
        arc=found.arc,
        iprev=found.iprev,
        flags=tuple(flag.value for flag in _flags(message, author, mail.authserv_id)),
        header_from=author.address,
        from_domain=author.domains[0] if author.domains else "",
        helo=cut(mail.helo, 256),
        authserv_id=mail.authserv_id,
        evaluated_at=_timestamp(now),
    )
    return explain(results)


def _encodable(mail: ReceivedMail) -> ReceivedMail:
    """SMTP servers keep undecodable bytes as lone surrogates, which JSON cannot carry: write them as `?`."""
    texts = {name: getattr(mail, name) for name in ("peer_ip", "helo", "envelope_from", "authserv_id")}
    changed = {
        name: text.encode("utf-8", "replace").decode("utf-8") for name, text in texts.items() if not text.isascii()
    }
    return msgspec.structs.replace(mail, **changed) if changed else mail


_STRICTNESS = {DmarcPolicy.NONE: 0, DmarcPolicy.QUARANTINE: 1, DmarcPolicy.REJECT: 3}


def _strictness(result: DmarcResult) -> int:
    """A policy that DNS did not tell may be any: only a known `reject` is above it."""
    unknown = result.result is DmarcWord.TEMPERROR and not result.published_policy
    return 2 if unknown else _STRICTNESS[result.policy]


async def _evaluate(author: Author, found: Findings) -> Evaluation:
    """DMARC for the author domain. Where From is ambiguous nothing passes: one field with several domains is `none`
    (RFC 9989 §5.3.1); several fields are evaluated one by one and the strictest policy stands."""
    if not found.policies:
        reason = AuthReason.NO_FROM
        unknown = [Alignment.UNKNOWN] * len(found.dkim)
        return Evaluation(DmarcResult(DmarcWord.NONE, reason), Alignment.UNKNOWN, unknown)
    evaluations = [await evaluate_dmarc(one, found.spf, found.dkim, found.identifiers) for one in found.policies]
    first = evaluations[0]
    if author.several_in_one:
        return Evaluation(_judge_several(author, evaluations), first.spf, first.dkim)
    if not author.doubtful:
        return first
    worst = max(evaluations, key=lambda one: _strictness(one.result))
    if worst.result.result is DmarcWord.PASS:
        changed = msgspec.structs.replace(worst.result, result=DmarcWord.FAIL, reason=AuthReason.MULTIPLE_FROM)
        return Evaluation(changed, worst.spf, worst.dkim)
    return worst


def _judge_several(author: Author, evaluations: list[Evaluation]) -> DmarcResult:
    """`none`, with the strictest policy of the domains that did not pass: a reader may show any of them as the author."""
    failed = [one.result for one in evaluations if one.result.result is not DmarcWord.PASS]
    worst = max(failed, key=_strictness, default=DmarcResult())
    if worst.result is DmarcWord.TEMPERROR:
        return worst
    return DmarcResult(
        DmarcWord.NONE,
        AuthReason.FROM_SEVERAL_DOMAINS,
        worst.domain if worst.policy is not DmarcPolicy.NONE else author.domains[0],
        policy=worst.policy,
        published_policy=worst.published_policy,
        detail=", ".join(author.domains),
    )


def _flags(message: Message, author: Author, authserv_id: str) -> list[Flag]:
    flags = [*message.flags, *author.flags]
    claims = message.all(b"authentication-results")
    if authserv_id and any(is_ours(field.value, authserv_id) for field in claims):
        flags.append(Flag.FORGED_AUTH_RESULTS)
    if sum(field.name == b"dkim-signature" for field in message.fields) > MAX_SIGNATURES:
        flags.append(Flag.TOO_MANY_SIGNATURES)
    return flags


def _timestamp(now: float) -> str:
    try:
        moment = datetime.fromtimestamp(now, UTC)
    except (OverflowError, ValueError, OSError):
        return ""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
