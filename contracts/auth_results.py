"""What the authentication of one mail found: the words of RFC 8601, each with its evidence.

Every struct is frozen, small (long strings are cut where they are made) and makes the round trip through
msgspec JSON unchanged. A check that did not pass carries a `reason` of a closed list, one sentence of
`cause` and one of `cure`, so that a domain's owner can act on what the console shows.
"""

import msgspec

from contracts.auth_words import (
    Alignment,
    ArcWord,
    AuthReason,
    DkimWord,
    DmarcPolicy,
    DmarcWord,
    IprevWord,
    SpfWord,
)

__all__ = [
    "MAX_DNS",
    "MAX_TEXT",
    "Alignment",
    "ArcResult",
    "ArcWord",
    "AuthReason",
    "AuthResults",
    "DkimResult",
    "DkimWord",
    "DmarcAnswer",
    "DmarcPolicy",
    "DmarcResult",
    "DmarcWord",
    "DnsEvidence",
    "IprevResult",
    "IprevWord",
    "SpfResult",
    "SpfWord",
    "cut",
]

MAX_TEXT = 1024  # characters that one piece of evidence (a record, a sentence) may take
MAX_DNS = 24  # DNS answers that one check keeps as evidence


class DnsEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """One DNS answer that a check relied on; values are cut to stay small."""

    name: str
    type: str
    status: str  # ok | nodata | nxdomain | servfail | timeout | budget
    values: tuple[str, ...] = ()


class SpfResult(msgspec.Struct, frozen=True):
    """SPF for one connection (RFC 7208)."""

    result: SpfWord = SpfWord.NONE
    reason: AuthReason = AuthReason.OK
    domain: str = ""  # the domain that was asked
    identity: str = "mailfrom"  # mailfrom, or helo when the envelope sender is empty
    sender: str = ""  # the envelope sender (or postmaster@helo)
    peer_ip: str = ""
    alignment: Alignment = Alignment.UNKNOWN
    record: str = ""
    mechanism: str = ""  # the term that decided
    explanation: str = ""  # the domain's own words (exp=, RFC 7208 §6.2)
    detail: str = ""  # what exactly is wrong with the record
    cause: str = ""
    cure: str = ""
    dns: tuple[DnsEvidence, ...] = ()


class DkimResult(msgspec.Struct, frozen=True):
    """One DKIM signature (RFC 6376, RFC 8301, RFC 8463)."""

    result: DkimWord = DkimWord.NONE
    reason: AuthReason = AuthReason.OK
    domain: str = ""  # d=
    selector: str = ""  # s=
    identity: str = ""  # i=
    algorithm: str = ""  # a=
    canonicalization: str = ""  # c=
    key_bits: int = 0
    signed_headers: str = ""  # h=, so that a reader sees what the signature covers
    signature_start: str = ""  # the first characters of b= (header.b of RFC 6008)
    testing: bool = False  # the key says t=y
    alignment: Alignment = Alignment.UNKNOWN
    record: str = ""
    detail: str = ""
    cause: str = ""
    cure: str = ""
    dns: tuple[DnsEvidence, ...] = ()


class DmarcAnswer(msgspec.Struct, frozen=True):
    """What RFC 7489 (public suffix list, pct) would have said, kept where it differs."""

    result: DmarcWord = DmarcWord.NONE
    policy: DmarcPolicy = DmarcPolicy.NONE
    record_domain: str = ""
    organizational_domain: str = ""
    pct: int = 100


class DmarcResult(msgspec.Struct, frozen=True):
    """DMARC for the From domain (RFC 9989)."""

    result: DmarcWord = DmarcWord.NONE
    reason: AuthReason = AuthReason.OK
    domain: str = ""  # the author domain: the one in From
    organizational_domain: str = ""
    record_domain: str = ""  # where the record that applies was found
    record: str = ""
    policy: DmarcPolicy = DmarcPolicy.NONE  # the policy that applies to this mail, test mode included
    published_policy: str = ""  # the tag that was used, as published: p, sp or np
    testing: bool = False  # t=y lowered the policy
    spf_alignment: Alignment = Alignment.NONE
    dkim_alignment: Alignment = Alignment.NONE
    strict_spf: bool = False  # aspf=s
    strict_dkim: bool = False  # adkim=s
    rfc7489: DmarcAnswer | None = None
    detail: str = ""
    cause: str = ""
    cure: str = ""
    dns: tuple[DnsEvidence, ...] = ()


class ArcResult(msgspec.Struct, frozen=True):
    """The ARC chain (RFC 8617): verified and logged, it never overrides DMARC by itself."""

    result: ArcWord = ArcWord.NONE
    reason: AuthReason = AuthReason.OK
    instances: int = 0
    domain: str = ""  # d= of the newest seal
    selector: str = ""  # s= of the newest seal
    algorithm: str = ""
    key_bits: int = 0
    sealers: tuple[str, ...] = ()  # d= of every seal, oldest first
    oldest_pass: int = -1  # the lowest instance whose message signature verifies; 0 = all do; -1 = not known
    authentication_results: str = ""  # the newest ARC-Authentication-Results
    record: str = ""
    detail: str = ""
    cause: str = ""
    cure: str = ""
    dns: tuple[DnsEvidence, ...] = ()


class IprevResult(msgspec.Struct, frozen=True):
    """The peer's reverse name, confirmed forward (RFC 8601 §3)."""

    result: IprevWord = IprevWord.PERMERROR
    reason: AuthReason = AuthReason.OK
    peer_ip: str = ""
    domain: str = ""  # the confirmed name, or else the first name claimed
    cause: str = ""
    cure: str = ""
    dns: tuple[DnsEvidence, ...] = ()


class AuthResults(msgspec.Struct, frozen=True):
    """Everything that authentication found about one mail."""

    spf: SpfResult = SpfResult()
    dkim: tuple[DkimResult, ...] = ()
    dmarc: DmarcResult = DmarcResult()
    arc: ArcResult = ArcResult()
    iprev: IprevResult = IprevResult()
    flags: tuple[str, ...] = ()  # risks seen in the structure of the mail (words of mail.parse_headers.Flag)
    header_from: str = ""  # the address in From, shortened
    from_domain: str = ""  # its domain in A-labels
    helo: str = ""
    authserv_id: str = ""
    trusted: str = ""  # the server whose word this is, of a polled mail; "": our own checks, or there is no such server
    evaluated_at: str = ""  # RFC 3339, UTC

    @property
    def spf_word(self) -> str:
        return self.spf.result.value

    @property
    def dkim_word(self) -> str:
        """One word for all signatures: the best that any of them reached."""
        found = {signature.result for signature in self.dkim}
        for word in _DKIM_ORDER:
            if word in found:
                return word.value
        return DkimWord.NONE.value

    @property
    def dmarc_word(self) -> str:
        return self.dmarc.result.value

    @property
    def arc_word(self) -> str:
        return self.arc.result.value

    @property
    def iprev_word(self) -> str:
        return self.iprev.result.value


# A temporary error ranks above every failure: a later try may turn it into a pass.
_DKIM_ORDER = (
    DkimWord.PASS,
    DkimWord.TEMPERROR,
    DkimWord.FAIL,
    DkimWord.POLICY,
    DkimWord.NEUTRAL,
    DkimWord.PERMERROR,
)


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Shorten evidence to `limit` characters; an ellipsis shows that something is missing."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
