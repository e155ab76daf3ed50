"""Whether a domain's policy refuses a mail for what authentication found (`inbound.domains.<domain>.reject_on`)."""

import ipaddress

from contracts.auth_results import ArcWord, AuthResults, DkimWord, DmarcPolicy, DmarcWord, SpfWord
from contracts.settings import InboundDomain
from contracts.statuses import Reason, Status
from processors.decision import Decision


def apply_policy(auth: AuthResults, domain: InboundDomain) -> Decision | None:
    """The refusal by the first of `reject_on` that holds, or None; `monitor` is the caller's. Codes are those of RFC 7372: 5.7.20
    DKIM, 5.7.23 SPF, 5.7.26 both."""
    refusal = next((found for word in domain.reject_on if (found := _check(word, auth)) is not None), None)
    if refusal is None or _allowed(auth, domain.allow):
        return None
    return refusal


def _check(word: str, auth: AuthResults) -> Decision | None:
    dmarc = auth.dmarc
    author = dmarc.domain or auth.from_domain
    if word in ("dmarc-reject", "dmarc-quarantine") and dmarc.result is DmarcWord.FAIL:
        strict = dmarc.policy is DmarcPolicy.REJECT
        if strict or (word == "dmarc-quarantine" and dmarc.policy is DmarcPolicy.QUARANTINE):
            return _refuse(
                f"550 5.7.26 DMARC check failed: mail from {author} is not authenticated and its policy is {dmarc.policy.value}",
                Reason.DMARC_REJECT if strict else Reason.DMARC_QUARANTINE,
                dmarc.cause or f"DMARC failed for {author} (p={dmarc.policy.value})",
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


def _refuse(reply: str, reason: Reason, detail: str) -> Decision:
    return Decision(Status.REJECTED, detail, reason=reason, reply=reply)


def _allowed(auth: AuthResults, allow: list[str]) -> bool:
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
