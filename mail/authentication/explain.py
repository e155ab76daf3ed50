"""One sentence of cause and one of cure for every check that did not pass.

Written for the owner of the sending domain: what was seen, and what to change."""

from typing import TypeVar

import msgspec

from contracts.auth_results import (
    ArcResult,
    ArcWord,
    AuthReason,
    AuthResults,
    DkimResult,
    DkimWord,
    DmarcResult,
    DmarcWord,
    IprevResult,
    IprevWord,
    SpfResult,
    SpfWord,
    cut,
)
from mail.authentication.explain_dkim import explain_dkim

R = TypeVar("R", SpfResult, DkimResult, DmarcResult, ArcResult, IprevResult)

_TEMPORARY = "Nothing has to be changed if it does not happen again; otherwise check the domain's name servers."
_BUDGET = "Simplify the records: one mail may not cause this many look-ups."
_RECORD_SHOWN = 200


def explain(results: AuthResults) -> AuthResults:
    """Fill in `cause` and `cure`; a check that passed keeps them empty."""
    return msgspec.structs.replace(
        results,
        spf=_filled(results.spf, SpfWord.PASS, explain_spf(results.spf)),
        dkim=tuple(_filled(one, DkimWord.PASS, explain_dkim(one)) for one in results.dkim),
        dmarc=_filled(results.dmarc, DmarcWord.PASS, explain_dmarc(results)),
        arc=_filled(results.arc, ArcWord.PASS, explain_arc(results.arc)),
        iprev=_filled(results.iprev, IprevWord.PASS, explain_iprev(results.iprev)),
    )


def explain_spf(spf: SpfResult) -> tuple[str, str]:
    """Cause and cure of an SPF result (RFC 7208)."""
    peer, domain = spf.peer_ip, spf.domain
    record = f"`{cut(spf.record, _RECORD_SHOWN)}`" if spf.record else "its SPF record"
    allow = f"Add {peer} to the SPF record of {domain} if it may send for it, or send through an allowed host."
    match spf.reason:
        case AuthReason.SPF_NOT_AUTHORIZED:
            return f"{peer} is not in {domain}'s SPF record {record}.", allow
        case AuthReason.SPF_SOFT_NOT_AUTHORIZED:
            return f"{peer} is not in {domain}'s SPF record {record}, which ends in ~all.", allow
        case AuthReason.SPF_NEUTRAL:
            return (
                f"{domain}'s SPF record {record} says nothing about {peer}.",
                f"Name every host that sends for {domain} in the record and end it with ~all or -all.",
            )
        case AuthReason.SPF_NO_RECORD:
            return (
                f"{domain} publishes no SPF record.",
                f"Publish a TXT record at {domain} that starts with v=spf1 and names the hosts that send for it.",
            )
        case AuthReason.SPF_SYNTAX:
            return (
                f"The SPF record of {domain} cannot be interpreted: {_tidy(spf.detail)}.",
                f"Correct the record at {domain}; until then every receiver treats it as broken.",
            )
        case AuthReason.SPF_MULTIPLE_RECORDS:
            return f"{domain}, or a domain that it includes, has more than one SPF record.", "Merge them into one."
        case AuthReason.SPF_TOO_MANY_LOOKUPS:
            return (
                f"The SPF record of {domain} needs more than ten DNS look-ups ({_tidy(spf.detail)}).",
                "Remove includes that are no longer used, or replace a, mx and include by ip4 and ip6.",
            )
        case AuthReason.SPF_TOO_MANY_VOID:
            return (
                f"The SPF record of {domain} names more than two hosts that do not exist.",
                "Remove the terms whose names have no records.",
            )
        case AuthReason.SPF_INCLUDE_MISSING:
            return (
                f"The SPF record of {domain} points to a domain without an SPF record ({_tidy(spf.detail)}).",
                "Remove that include or redirect, or ask its owner to publish a record.",
            )
        case AuthReason.NO_DOMAIN:
            return (
                "Neither the envelope sender nor HELO holds a domain that could be asked.",
                "Let the sending server introduce itself with its full host name.",
            )
        case AuthReason.NO_PEER:
            return "The address of the sending host is not known.", ""
        case _:
            return _common(spf.reason, domain)


def explain_dmarc(results: AuthResults) -> tuple[str, str]:
    """Cause and cure of a DMARC result, from the results that it rests on (RFC 9989)."""
    dmarc = results.dmarc
    domain = dmarc.domain
    match dmarc.reason:
        case AuthReason.DMARC_NO_RECORD:
            return (
                f"{domain} publishes no DMARC record.",
                f"Publish a TXT record at _dmarc.{domain}, to begin with `v=DMARC1; p=none; rua=mailto:…`.",
            )
        case AuthReason.DMARC_MULTIPLE_RECORDS:
            return (
                f"More than one DMARC record at {dmarc.detail}: receivers ignore all of them.",
                "Keep exactly one record there.",
            )
        case AuthReason.DMARC_NO_POLICY:
            return (
                f"The DMARC record `{cut(dmarc.record, _RECORD_SHOWN)}` has no valid p= and no rua=.",
                f"Give the record at _dmarc.{dmarc.record_domain} a p= of none, quarantine or reject.",
            )
        case AuthReason.NOT_ALIGNED:
            return _not_aligned(results)
        case AuthReason.NOT_AUTHENTICATED:
            return (
                f"Neither SPF ({results.spf_word}) nor DKIM ({results.dkim_word}) passed for {domain}.",
                f"Sign the mail with d={domain}, or send it from a host in the SPF record of {domain}.",
            )
        case AuthReason.NO_FROM:
            return "The message has no From field with a domain.", "Write exactly one From field with an address."
        case AuthReason.MULTIPLE_FROM:
            return (
                f"From is ambiguous ({', '.join(results.flags)}): programs may show different authors.",
                "Write exactly one well-formed From field; this is how forged mail looks.",
            )
        case AuthReason.FROM_SEVERAL_DOMAINS:
            return (
                f"From names addresses of several domains ({cut(dmarc.detail, 200)}), which DMARC cannot judge.",
                "Put one author into From, and the others into Cc or Reply-To.",
            )
        case _:
            return _common(dmarc.reason, domain)


def _not_aligned(results: AuthResults) -> tuple[str, str]:
    domain = results.dmarc.domain
    signers = dict.fromkeys(one.domain for one in results.dkim if one.result is DkimWord.PASS)
    causes = []
    if signers:
        strict = " exactly (adkim=s)" if results.dmarc.strict_dkim else ""
        causes.append(f"signed by {', '.join(list(signers)[:3])}, which does not align with {domain}{strict}")
    if results.spf.result is SpfWord.PASS:
        strict = " exactly (aspf=s)" if results.dmarc.strict_spf else ""
        causes.append(f"sent for {results.spf.domain}, which SPF allows but which does not align with {domain}{strict}")
    cause = "; ".join(causes)
    who = next(iter(signers), results.spf.domain)
    cure = f"Have {who} sign with d={domain}, or send with an envelope sender of {domain}."
    return f"{cause[:1].upper()}{cause[1:]}.", cure


def explain_arc(arc: ArcResult) -> tuple[str, str]:
    """Cause and cure of a broken chain (RFC 8617)."""
    match arc.reason:
        case AuthReason.OK:
            return "", ""
        case AuthReason.ARC_CV_FAIL:
            return f"{arc.domain} found the ARC chain broken when it forwarded the mail.", "Look at the hop before it."
        case AuthReason.ARC_MESSAGE_INVALID:
            return (
                f"The newest ARC-Message-Signature does not verify: {_tidy(arc.detail)}.",
                f"A host behind {arc.domain or 'the last forwarder'} changed the mail; let it seal after its changes.",
            )
        case AuthReason.ARC_SEAL_INVALID | AuthReason.ARC_STRUCTURE:
            return f"The ARC chain is broken: {_tidy(arc.detail)}.", "Forwarders must not change or drop ARC fields."
        case _:
            return _common(arc.reason, arc.domain)


def explain_iprev(iprev: IprevResult) -> tuple[str, str]:
    """Cause and cure of a reverse name that does not hold (RFC 8601 §3)."""
    peer = iprev.peer_ip
    match iprev.reason:
        case AuthReason.IPREV_NO_NAME:
            return f"{peer} has no reverse name.", f"Have the network's operator publish a PTR record for {peer}."
        case AuthReason.IPREV_NO_MATCH:
            return (
                f"{peer} is called {iprev.domain}, but {iprev.domain} does not lead back to {peer}.",
                f"Publish an address record for {iprev.domain} with {peer}, or correct the PTR record.",
            )
        case AuthReason.NO_PEER:
            return "The address of the sending host is not known.", ""
        case _:
            return _common(iprev.reason, peer)


def _common(reason: AuthReason, domain: str) -> tuple[str, str]:
    match reason:
        case AuthReason.DNS_TEMPERROR:
            return f"DNS did not answer about {domain or 'the sender'}.", _TEMPORARY
        case AuthReason.DNS_BUDGET:
            return f"The records of {domain or 'the sender'} need too many DNS look-ups.", _BUDGET
        case AuthReason.TRUSTED_HOP:
            return "The server that took this mail says so; it was found in a mailbox and not checked here.", ""
        case AuthReason.NOT_CHECKED:
            return (
                "This mail was found in a mailbox: its sender spoke to another server, and that server's word is not there or not trusted.",
                "Name the server that takes the mail in the channel's trusted_authserv_id, if it writes Authentication-Results.",
            )
        case AuthReason.INTERNAL_ERROR:
            return "The check failed on this message.", "Report the message: the log holds the error."
        case _:
            return "", ""


def _tidy(detail: str) -> str:
    """The library's own prefix says nothing that the sentence does not."""
    return detail.removeprefix("SPF Permanent Error: ").rstrip(".") or "see the evidence"


def _filled(result: R, passed: object, sentences: tuple[str, str]) -> R:
    if result.result is passed:
        return result
    return msgspec.structs.replace(result, cause=cut(sentences[0], 512), cure=cut(sentences[1], 512))
