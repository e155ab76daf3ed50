"""Whether a domain's policy refuses a mail for what authentication found (`inbound.domains.<domain>.reject_on`).

A check that DNS left open is no pass: its sender may have seen to that. It hears 451 and tries again (RFC 6376 §6.3, RFC 7208 §8.6)."""

import ipaddress

from contracts.auth_results import (
    ArcWord,
    AuthReason,
    AuthResults,
    DkimWord,
    DmarcPolicy,
    DmarcResult,
    DmarcWord,
    SpfWord,
)
from contracts.settings import InboundDomain
from contracts.statuses import Reason, Status
from mail.authentication.find_author import BAD_FROM
from mail.parse_headers import Flag
from processors.decision import Decision

_DMARC = ("dmarc-reject", "dmarc-quarantine")


def apply_policy(auth: AuthResults, domain: InboundDomain) -> Decision | None:
    """The refusal by the first of `reject_on` that holds, else by the first that cannot be decided now, or None; `monitor` is the
    caller's. Codes are those of RFC 7372: X.7.20 DKIM, X.7.23 and X.7.24 SPF, X.7.26 both."""
    checks = (_check, _check_open)
    found = (check(word, auth) for check in checks for word in domain.reject_on)
    refusal = next((one for one in found if one is not None), None)
    if refusal is None or is_allowed(auth, domain.allow):
        return None
    return refusal


def _check(word: str, auth: AuthResults) -> Decision | None:
    dmarc = auth.dmarc
    author = dmarc.domain or auth.from_domain
    if word in _DMARC and dmarc.result is DmarcWord.FAIL and _asks_for_refusal(word, dmarc.policy):
        return _refuse(
            f"550 5.7.26 DMARC check failed: mail from {author} is not authenticated and its policy is {dmarc.policy.value}",
            Reason.DMARC_REJECT if dmarc.policy is DmarcPolicy.REJECT else Reason.DMARC_QUARANTINE,
            dmarc.cause or f"DMARC failed for {author} (p={dmarc.policy.value})",
        )
    if word in _DMARC and dmarc.reason is AuthReason.FROM_SEVERAL_DOMAINS and _asks_for_refusal(word, dmarc.policy):
        return _refuse(
            f"550 5.7.1 From names several authors, and {author} is not authenticated (p={dmarc.policy.value})",
            Reason.BAD_FROM,
            f"From names several domains ({dmarc.detail}), and mail from {author} that is not authenticated is refused",
        )
    if word in _DMARC and Flag.AUTHOR_UNCHECKED in auth.flags:
        return _refuse(
            "550 5.7.1 From cannot be checked against DMARC: it is cut, hidden or unreadable (RFC 5322 section 3.6.2)",
            Reason.BAD_FROM,
            f"From cannot be checked against DMARC: {', '.join(flag for flag in auth.flags if flag in BAD_FROM)}",
        )
    if word == "bad-from" and (bad := [flag for flag in auth.flags if flag in BAD_FROM]):
        return _refuse(
            "550 5.7.1 From has to be exactly one address that can be read in one way (RFC 5322 section 3.6.2)",
            Reason.BAD_FROM,
            f"From is doubtful: {', '.join(bad)}",
        )
    if word == "spf-fail" and auth.spf.result is SpfWord.FAIL:
        return _refuse(
            f"550 5.7.23 SPF check failed: this host may not send for {auth.spf.domain}",
            Reason.SPF_FAIL,
            auth.spf.cause or f"SPF failed for {auth.spf.domain}",
        )
    if word == "dkim-fail" and auth.dkim_word in (DkimWord.FAIL, DkimWord.PERMERROR, DkimWord.POLICY):
        first = next((one for one in auth.dkim if one.result.value == auth.dkim_word), None)
        return _refuse(
            "550 5.7.20 DKIM check failed: no signature of this mail is valid",
            Reason.DKIM_FAIL,
            (first.cause if first else "") or "no DKIM signature passed",
        )
    return None


def _check_open(word: str, auth: AuthResults) -> Decision | None:
    """What cannot be decided because DNS failed, or a check of ours did."""
    dmarc, domain = auth.dmarc, auth.spf.domain
    if word in _DMARC and _may_ask_for_refusal(word, dmarc):
        author = dmarc.domain or auth.from_domain
        reply = f"451 4.7.26 DMARC cannot be checked for {author} at present, try again later"
        return _refuse(reply, Reason.AUTH_TEMPERROR, dmarc.cause or f"DMARC is {dmarc.result.value} for {author}")
    if word == "spf-fail" and _is_open(auth.spf.result is SpfWord.TEMPERROR, auth.spf.reason):
        reply = f"451 4.7.24 SPF cannot be checked for {domain} at present, try again later"
        return _refuse(reply, Reason.AUTH_TEMPERROR, auth.spf.cause or f"SPF is {auth.spf_word} for {domain}")
    if word == "dkim-fail" and auth.dkim_word == DkimWord.TEMPERROR:
        first = next(one for one in auth.dkim if one.result is DkimWord.TEMPERROR)
        reply = "451 4.7.5 DKIM cannot be checked at present: a key is not to be had, try again later"
        return _refuse(reply, Reason.AUTH_TEMPERROR, first.cause or f"DKIM is temperror for {first.domain}")
    return None


def _may_ask_for_refusal(word: str, dmarc: DmarcResult) -> bool:
    """Whether the author's domain would have it refused, as far as is known: a policy that could not be read may be any."""
    if not _is_open(dmarc.result is DmarcWord.TEMPERROR, dmarc.reason):
        return False
    return not dmarc.published_policy or _asks_for_refusal(word, dmarc.policy)


def _asks_for_refusal(word: str, policy: DmarcPolicy) -> bool:
    return policy is DmarcPolicy.REJECT or (word == "dmarc-quarantine" and policy is DmarcPolicy.QUARANTINE)


def _is_open(temporary: bool, reason: AuthReason) -> bool:
    return temporary or reason is AuthReason.INTERNAL_ERROR


def _refuse(reply: str, reason: Reason, detail: str) -> Decision:
    return Decision(Status.REJECTED, detail, reason=reason, reply=reply)


def is_allowed(auth: AuthResults, allow: list[str]) -> bool:
    """An entry is an IP address or network of the peer, or a domain with a valid DKIM signature or a valid ARC chain."""
    vouching = {one.domain.lower() for one in auth.dkim if one.result is DkimWord.PASS}
    if auth.arc.result is ArcWord.PASS:
        vouching.add(auth.arc.domain.lower())
    for entry in allow:
        if entry.lower() in vouching:
            return True
        try:
            if ipaddress.ip_address(auth.spf.peer_ip) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False
