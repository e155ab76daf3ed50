"""Evaluate SPF for one connection (RFC 7208).

Always returns a result; DNS trouble is temperror, never an exception. pyspf evaluates the record; it stops at
the first answers it lacks, they are fetched asynchronously, and it runs again (under 0.3 ms a run). Every
run is a query object of its own, so that any number of mails may be evaluated at once.
"""

import asyncio
import ipaddress

from contracts.auth_results import AuthReason, SpfResult, SpfWord, cut
from contracts.dns_answers import DnsAnswer, Resolver
from mail.authentication.evidence import to_evidence
from mail.authentication.limit_dns import Recall
from mail.authentication.run_spf import Memo, NeedsLookup, SpfEvaluation, run_spf
from mail.parse_addresses import to_ascii_domain

MAX_RUNS = 40  # the record, ten terms of two steps (MX or PTR, then all hosts), eleven explanations, two steps of %{p}


async def check_spf(
    peer_ip: str, helo: str, envelope_from: str, resolver: Resolver, *, receiver: str = "", now: float = 0.0
) -> SpfResult:
    """`envelope_from` is the envelope sender, empty for the null sender: then HELO is asked (RFC 7208 §2.4)."""
    envelope_from = "" if envelope_from == "<>" else envelope_from
    local, _, domain = envelope_from.rpartition("@")
    identity = "mailfrom" if envelope_from else "helo"
    asked = to_ascii_domain(domain if envelope_from else helo)
    sender = f"{local or 'postmaster'}@{asked}"
    base = SpfResult(domain=asked, identity=identity, sender=cut(sender, 320), peer_ip=cut(peer_ip, 64))
    try:
        ipaddress.ip_address(peer_ip)
    except ValueError:
        return _with(base, SpfEvaluation(SpfWord.NONE, AuthReason.NO_PEER), {})
    if "." not in asked:
        return _with(base, SpfEvaluation(SpfWord.NONE, AuthReason.NO_DOMAIN), {})  # RFC 7208 §4.3
    known: dict[tuple[str, str], DnsAnswer] = {}
    outcome = await evaluate_spf(peer_ip, sender, to_ascii_domain(helo) or helo, resolver, receiver, now, known)
    return _with(base, outcome, known)


async def evaluate_spf(
    peer_ip: str,
    sender: str,
    helo: str,
    resolver: Resolver,
    receiver: str,
    now: float,
    known: dict[tuple[str, str], DnsAnswer],
) -> SpfEvaluation:
    """Run, fetch what was missing into `known`, run again. Answers that are at hand interrupt no run."""
    at_hand: Recall | None = getattr(resolver, "cached", None)
    memo: Memo = {}
    for _ in range(MAX_RUNS):
        try:
            return run_spf(peer_ip, sender, helo, receiver, now, known, at_hand, memo)
        except NeedsLookup as needs:
            questions = list(dict.fromkeys(needs.questions))
            known.update(
                zip(questions, await asyncio.gather(*(resolver.query(*one) for one in questions)), strict=True)
            )
    return SpfEvaluation(SpfWord.TEMPERROR, AuthReason.DNS_BUDGET)


def _with(base: SpfResult, outcome: SpfEvaluation, known: dict[tuple[str, str], DnsAnswer]) -> SpfResult:
    return SpfResult(
        result=outcome.word,
        reason=outcome.reason,
        domain=base.domain,
        identity=base.identity,
        sender=base.sender,
        peer_ip=base.peer_ip,
        record=cut(outcome.record),
        mechanism=cut(outcome.mechanism, 256),
        explanation=cut(outcome.explanation, 512),
        detail=cut(outcome.detail, 256),
        dns=to_evidence(known.values()),
    )
