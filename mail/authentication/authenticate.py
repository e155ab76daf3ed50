"""Authenticate one mail: run every check over one look at the message and one budget of look-ups."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from contracts.auth_results import (
    Alignment,
    ArcResult,
    ArcWord,
    AuthReason,
    AuthResults,
    DkimResult,
    DkimWord,
    DmarcPolicy,
    DmarcResult,
    DmarcWord,
    IprevResult,
    IprevWord,
    SpfResult,
    SpfWord,
    cut,
)
from contracts.dns_answers import Resolver
from mail.authentication.check_arc import check_arc
from mail.authentication.check_dkim import MAX_SIGNATURES, check_dkim
from mail.authentication.check_dmarc import Evaluation, check_dmarc
from mail.authentication.check_iprev import check_iprev
from mail.authentication.check_spf import check_spf
from mail.authentication.explain import explain
from mail.authentication.find_author import Author, find_author
from mail.authentication.limit_dns import DnsBudget
from mail.authentication.strip_auth_results import is_ours
from mail.parse_addresses import to_ascii_domain
from mail.parse_headers import Flag, Message, split_message

MAX_QUERIES = 150  # look-ups that one mail may cause
MAX_SECONDS = 7.0  # and how long they may take altogether: the sender waits for the verdict meanwhile

log = logging.getLogger(__name__)
T = TypeVar("T")


class ReceivedMail(msgspec.Struct, frozen=True):
    """One mail as it came in: the bytes and the envelope."""

    raw: bytes
    peer_ip: str = ""
    helo: str = ""
    envelope_from: str = ""  # the envelope sender; empty = the null sender
    authserv_id: str = ""  # our own name in Authentication-Results
    now: float | None = None  # seconds since 1970; None = the clock
    message: Message | None = None  # `raw` in parts, where the caller has split it already


async def authenticate(mail: ReceivedMail, resolver: Resolver) -> AuthResults:
    """Evaluate SPF, DKIM, DMARC, ARC and iprev. Always returns results, never raises: DNS trouble is temperror,
    and a check that fails on an input says `internal_error` while the others stand."""
    now = time.time() if mail.now is None else mail.now
    mail = _encodable(mail)
    budget = DnsBudget(resolver, MAX_QUERIES, MAX_SECONDS)
    message = split_message(mail.raw) if mail.message is None else mail.message
    spf, dkim, arc, iprev = await _together(
        _is_warm(mail, budget),
        _guard(
            check_spf(mail.peer_ip, mail.helo, mail.envelope_from, budget, receiver=mail.authserv_id, now=now),
            SpfResult(SpfWord.PERMERROR, AuthReason.INTERNAL_ERROR),
        ),
        _guard(
            check_dkim(message, budget, now),
            [DkimResult(DkimWord.PERMERROR, AuthReason.INTERNAL_ERROR)],
        ),
        _guard(check_arc(message, budget, now), ArcResult(ArcWord.FAIL, AuthReason.INTERNAL_ERROR)),
        _guard(check_iprev(mail.peer_ip, budget), IprevResult(IprevWord.PERMERROR, AuthReason.INTERNAL_ERROR)),
    )
    author = find_author(message)
    evaluation = await _guard(
        _evaluate(author, message, spf, dkim, budget),
        Evaluation(DmarcResult(DmarcWord.PERMERROR, AuthReason.INTERNAL_ERROR), Alignment.UNKNOWN, []),
    )
    results = AuthResults(
        spf=msgspec.structs.replace(spf, alignment=evaluation.spf),
        dkim=tuple(
            msgspec.structs.replace(one, alignment=alignment)
            for one, alignment in zip(dkim, evaluation.dkim or [Alignment.UNKNOWN] * len(dkim), strict=True)
        ),
        dmarc=evaluation.result,
        arc=arc,
        iprev=iprev,
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


def _is_warm(mail: ReceivedMail, budget: DnsBudget) -> bool:
    """True where the first answers are at hand: then tasks for each check would cost more than they save."""
    domain = to_ascii_domain(mail.envelope_from.rpartition("@")[2] or mail.helo)
    return budget.cached(domain, "TXT") is not None


async def _together(warm: bool, *checks: Coroutine[Any, Any, Any]) -> list[Any]:
    return [await check for check in checks] if warm else await asyncio.gather(*checks)


async def _guard(check: Awaitable[T], otherwise: T) -> T:
    """One check's bug must not take the mail's other results with it."""
    try:
        return await check
    except Exception:
        log.exception("a check failed on a message")
        return otherwise


_STRICTNESS = {DmarcPolicy.NONE: 0, DmarcPolicy.QUARANTINE: 1, DmarcPolicy.REJECT: 2}


async def _evaluate(
    author: Author, message: Message, spf: SpfResult, dkim: list[DkimResult], resolver: Resolver
) -> Evaluation:
    """DMARC for the author domain. Where From is ambiguous nothing passes: one field with several domains is
    exempt (RFC 9989 §5.3.1); several fields are evaluated one by one and the strictest policy stands."""
    if not author.domains:
        reason = AuthReason.NO_FROM
        return Evaluation(DmarcResult(DmarcWord.NONE, reason), Alignment.UNKNOWN, [Alignment.UNKNOWN] * len(dkim))
    evaluations = [await check_dmarc(domain, spf, dkim, resolver) for domain in author.domains]
    first = evaluations[0]
    if author.several_in_one:
        result = DmarcResult(DmarcWord.NONE, AuthReason.FROM_SEVERAL_DOMAINS, author.domains[0])
        return Evaluation(msgspec.structs.replace(result, detail=", ".join(author.domains)), first.spf, first.dkim)
    if not author.doubtful:
        return first
    worst = max(evaluations, key=lambda one: _STRICTNESS[one.result.policy])
    if worst.result.result is DmarcWord.PASS:
        changed = msgspec.structs.replace(worst.result, result=DmarcWord.FAIL, reason=AuthReason.MULTIPLE_FROM)
        return Evaluation(changed, worst.spf, worst.dkim)
    return worst


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
