"""Run the checks of one mail side by side, each with look-ups and time of its own, the author's policy first.

A sender decides how much SPF, DKIM, ARC and the reverse name cost, and how slowly their names are answered. None of it is taken from what
the policy of the claimed author needs (RFC 9989), which somebody else publishes. The sender waits for the verdict meanwhile: all of it
takes seven seconds at most."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import msgspec

from contracts.auth_results import (
    ArcResult,
    ArcWord,
    AuthReason,
    DkimResult,
    DkimWord,
    IprevResult,
    IprevWord,
    SpfResult,
    SpfWord,
)
from contracts.dns_answers import Resolver
from mail.authentication.check_arc import MAX_KEYS, check_arc
from mail.authentication.check_dkim import MAX_SIGNATURES, check_dkim
from mail.authentication.check_dmarc import AuthorPolicy, find_policy
from mail.authentication.check_iprev import MAX_NAMES, check_iprev
from mail.authentication.check_spf import check_spf
from mail.authentication.limit_dns import Answers, DnsBudget, NotAtHand
from mail.parse_addresses import to_ascii_domain
from mail.parse_headers import Message


class Share(NamedTuple):
    """What one check may ask, and for how many seconds."""

    queries: int
    seconds: float


POLICY = Share(40, 5.0)  # four author domains, each a walk of eight names at most, and whether it exists
SPF = Share(115, 5.0)  # the record, ten `mx` of ten hosts (RFC 7208 §4.6.4), the explanation
DKIM = Share(MAX_SIGNATURES, 5.0)
ARC = Share(MAX_KEYS, 5.0)
IPREV = Share(1 + MAX_NAMES, 5.0)
ALIGNMENT = Share(50, 2.0)  # afterwards: the organizational domains of what SPF and DKIM found

log = logging.getLogger(__name__)
T = TypeVar("T")
Check = Callable[[], Awaitable[Any]]


class ReceivedMail(msgspec.Struct, frozen=True):
    """One mail as it came in: the bytes and the envelope."""

    raw: bytes
    peer_ip: str = ""
    helo: str = ""
    envelope_from: str = ""  # the envelope sender; empty = the null sender
    authserv_id: str = ""  # our own name in Authentication-Results
    now: float | None = None  # seconds since 1970; None = the clock
    message: Message | None = None  # `raw` in parts, where the caller has split it already


@dataclass(frozen=True)
class Findings:
    """What the checks found, and the resolver for what follows from it."""

    policies: list[AuthorPolicy]
    spf: SpfResult
    dkim: list[DkimResult]
    arc: ArcResult
    iprev: IprevResult
    identifiers: DnsBudget


async def run_checks(
    mail: ReceivedMail, message: Message, authors: tuple[str, ...], resolver: Resolver, now: float
) -> Findings:
    """Always returns findings: a check that fails on an input says `internal_error` while the others stand."""
    asked: Answers = {}

    def checks(*, waits: bool) -> list[Check]:
        def budget(share: Share) -> DnsBudget:
            return DnsBudget(resolver, *share, asked, waits=waits)

        policy = budget(POLICY)
        return [
            lambda: _find_policies(authors, policy),
            lambda: guard(
                check_spf(mail.peer_ip, mail.helo, mail.envelope_from, budget(SPF), receiver=mail.authserv_id, now=now),
                SpfResult(SpfWord.PERMERROR, AuthReason.INTERNAL_ERROR),
            ),
            lambda: guard(
                check_dkim(message, budget(DKIM), now), [DkimResult(DkimWord.PERMERROR, AuthReason.INTERNAL_ERROR)]
            ),
            lambda: guard(check_arc(message, budget(ARC), now), ArcResult(ArcWord.FAIL, AuthReason.INTERNAL_ERROR)),
            lambda: guard(
                check_iprev(mail.peer_ip, budget(IPREV)), IprevResult(IprevWord.PERMERROR, AuthReason.INTERNAL_ERROR)
            ),
        ]

    found = await _all_at_hand(checks(waits=False)) if _is_warm(mail, resolver) else None
    if found is None:
        found = await asyncio.gather(*(check() for check in checks(waits=True)))
    policies, spf, dkim, arc, iprev = found
    return Findings(policies, spf, dkim, arc, iprev, DnsBudget(resolver, *ALIGNMENT, asked))


async def guard(check: Awaitable[T], otherwise: T) -> T:
    """One check's bug must not take the mail's other results with it."""
    try:
        return await check
    except Exception:
        log.exception("a check failed on a message")
        return otherwise


async def _find_policies(authors: tuple[str, ...], budget: DnsBudget) -> list[AuthorPolicy]:
    return [await find_policy(author, budget) for author in authors]


async def _all_at_hand(checks: list[Check]) -> list[Any] | None:
    """One after the other where no check has to wait: a task for each would cost more than it saves. None where one has to."""
    try:
        return [await check() for check in checks]
    except NotAtHand:
        return None


def _is_warm(mail: ReceivedMail, resolver: Resolver) -> bool:
    """Whether the first answer is at hand, and so perhaps all of them."""
    recall = getattr(resolver, "cached", None)
    domain = to_ascii_domain(mail.envelope_from.rpartition("@")[2] or mail.helo)
    return recall is not None and recall(domain, "TXT") is not None
