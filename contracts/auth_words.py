"""The words of authentication: exactly those of RFC 8601, and the closed list of reasons."""

from enum import StrEnum


class SpfWord(StrEnum):
    """Results of SPF (RFC 7208 §2.6, RFC 8601 §2.7.2)."""

    NONE = "none"  # no SPF record, or no domain to ask about
    NEUTRAL = "neutral"  # the domain says nothing about this host (?all, or nothing matched)
    PASS = "pass"  # the host is allowed to send for the domain
    FAIL = "fail"  # the domain says this host may not send for it
    SOFTFAIL = "softfail"  # the domain says this host probably may not (~all)
    POLICY = "policy"  # evaluated, but local policy does not accept the outcome
    TEMPERROR = "temperror"  # DNS failed; a later try may conclude
    PERMERROR = "permerror"  # the record cannot be interpreted; its owner has to correct it


class DkimWord(StrEnum):
    """Results of DKIM (RFC 8601 §2.7.1)."""

    NONE = "none"  # the mail is not signed
    PASS = "pass"  # the signature is right and acceptable
    FAIL = "fail"  # the signature or the body hash is wrong: signed by another key, or changed on the way
    POLICY = "policy"  # signed, but not in a way we accept: SHA-1, short key, bytes outside l=
    NEUTRAL = "neutral"  # signed in a way that cannot be processed, or a failure of a key in test mode
    TEMPERROR = "temperror"  # the key could not be fetched; a later try may conclude
    PERMERROR = "permerror"  # never verifiable: a broken signature, a missing or revoked key, From not signed


class DmarcWord(StrEnum):
    """Results of DMARC (RFC 9989 §8, RFC 8601 §2.7.6)."""

    NONE = "none"  # no DMARC record applies, or the From field is exempt
    PASS = "pass"  # SPF or DKIM passed for a domain aligned with From
    FAIL = "fail"  # a record applies and no aligned identifier passed
    TEMPERROR = "temperror"  # DNS failed where the answer depended on it; a later try may conclude
    PERMERROR = "permerror"  # the From field cannot be interpreted


class ArcWord(StrEnum):
    """Results of ARC, the chain validation status (RFC 8617 §4.4)."""

    NONE = "none"  # no ARC sets
    PASS = "pass"  # every seal and the newest message signature are right
    FAIL = "fail"  # the chain is broken, or says itself that it is
    TEMPERROR = "temperror"  # a key could not be fetched; a later try may conclude


class IprevWord(StrEnum):
    """Results of the reverse look-up of the peer's address (RFC 8601 §2.7.3, §3)."""

    PASS = "pass"  # a name of the address leads back to it
    FAIL = "fail"  # it has names, but none leads back to the address
    TEMPERROR = "temperror"  # DNS failed; a later try may conclude
    PERMERROR = "permerror"  # the address has no name, or is no address


class DmarcPolicy(StrEnum):
    """What a domain asks for mail that fails DMARC (RFC 9989 §4.7)."""

    NONE = "none"  # nothing: deliver as usual
    QUARANTINE = "quarantine"  # treat as suspicious
    REJECT = "reject"  # refuse


class Alignment(StrEnum):
    """How an authenticated domain relates to the From domain (RFC 9989 §3.2.10)."""

    STRICT = "strict"  # the same domain
    RELAXED = "relaxed"  # the same organizational domain
    NONE = "none"  # not aligned
    UNKNOWN = "unknown"  # not evaluated: no From domain, or DNS failed on the way


class AuthReason(StrEnum):
    """Why a check ended as it did: the closed list of machine-readable reasons."""

    OK = ""  # passed
    # DNS
    DNS_TEMPERROR = "dns_temperror"  # a name server did not answer or answered SERVFAIL
    DNS_BUDGET = "dns_budget"  # the mail asked for more look-ups than one mail may
    # SPF
    NO_DOMAIN = "no_domain"  # neither the envelope sender nor HELO holds a domain
    NO_PEER = "no_peer"  # the peer's address is not known
    SPF_NO_RECORD = "spf_no_record"  # the domain publishes no SPF record
    SPF_NOT_AUTHORIZED = "spf_not_authorized"  # the record ends in -all for this host
    SPF_SOFT_NOT_AUTHORIZED = "spf_soft_not_authorized"  # the record ends in ~all for this host
    SPF_NEUTRAL = "spf_neutral"  # the record says nothing about this host
    SPF_SYNTAX = "spf_syntax"  # the record has a syntax error
    SPF_MULTIPLE_RECORDS = "spf_multiple_records"  # more than one v=spf1 record
    SPF_TOO_MANY_LOOKUPS = "spf_too_many_lookups"  # more than ten terms that need DNS (RFC 7208 §4.6.4)
    SPF_TOO_MANY_VOID = "spf_too_many_void"  # more than two look-ups without an answer (RFC 7208 §4.6.4)
    SPF_INCLUDE_MISSING = "spf_include_missing"  # include or redirect names a domain without a record
    # DKIM
    NOT_SIGNED = "not_signed"  # no DKIM-Signature field
    SIGNATURE_SYNTAX = "signature_syntax"  # a tag is missing, double or malformed
    SIGNATURE_VERSION = "signature_version"  # v= is not 1
    UNSUPPORTED_ALGORITHM = "unsupported_algorithm"  # a=, c= or q= names something unknown
    WEAK_ALGORITHM = "weak_algorithm"  # rsa-sha1 (RFC 8301 §3.1)
    FROM_NOT_SIGNED = "from_not_signed"  # h= lacks From (RFC 6376 §5.4)
    IDENTITY_MISMATCH = "identity_mismatch"  # i= is not within d= (or not equal to it under t=s)
    SIGNATURE_EXPIRED = "signature_expired"  # x= is past
    SIGNATURE_FUTURE = "signature_future"  # t= lies in the future
    BODY_LENGTH_PARTIAL = "body_length_partial"  # l= leaves bytes of the body unsigned
    BODY_LENGTH_TOO_LONG = "body_length_too_long"  # l= counts more bytes than the body has
    BODY_CHANGED = "body_changed"  # the body hash does not match
    SIGNATURE_INVALID = "signature_invalid"  # the signature does not match key and headers
    KEY_NOT_FOUND = "key_not_found"  # no key record at selector._domainkey.domain
    KEY_REVOKED = "key_revoked"  # p= is empty
    KEY_SYNTAX = "key_syntax"  # the key record cannot be read
    KEY_MISMATCH = "key_mismatch"  # the key's type, hashes or services do not allow this signature
    KEY_TOO_SHORT = "key_too_short"  # under 1024 bits (RFC 8301 §3.2)
    KEY_TOO_LONG = "key_too_long"  # beyond what we are willing to compute
    TOO_MANY_SIGNATURES = "too_many_signatures"  # not tried: only the first ten are
    # DMARC
    DMARC_NO_RECORD = "dmarc_no_record"  # no DMARC record applies
    DMARC_MULTIPLE_RECORDS = "dmarc_multiple_records"  # more than one record at one name: all ignored
    DMARC_NO_POLICY = "dmarc_no_policy"  # the record has neither a valid p= nor a rua=
    NOT_ALIGNED = "not_aligned"  # something passed, but for a domain that does not align
    NOT_AUTHENTICATED = "not_authenticated"  # nothing passed
    NO_FROM = "no_from"  # no From field, or none with a domain
    MULTIPLE_FROM = "multiple_from"  # more than one From field, or one hidden from other parsers
    FROM_SEVERAL_DOMAINS = "from_several_domains"  # one From field naming several domains: exempt
    # ARC
    ARC_STRUCTURE = "arc_structure"  # sets are incomplete, double, out of sequence or too many
    ARC_CV_FAIL = "arc_cv_fail"  # a seal states itself that the chain was broken
    ARC_SEAL_INVALID = "arc_seal_invalid"  # a seal does not verify
    ARC_MESSAGE_INVALID = "arc_message_invalid"  # the newest message signature does not verify
    # iprev
    IPREV_NO_NAME = "iprev_no_name"  # the address has no PTR record
    IPREV_NO_MATCH = "iprev_no_match"  # the names do not lead back to the address
    # polled mail
    TRUSTED_HOP = "trusted_hop"  # what the server that took the mail said; no check of ours
    NOT_CHECKED = "not_checked"  # the peer was not ours, and no server that was is trusted
    INTERNAL_ERROR = "internal_error"  # the check itself failed on this input
