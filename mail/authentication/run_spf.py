"""Run pyspf once over the DNS answers known so far (RFC 7208 §4 to §7).

pyspf's own look-up is never reached: `AnsweringQuery.dns` answers from `known` and raises `NeedsLookup` for
what is missing. The CNAME chains, void look-ups (§4.6.4) and errors of pyspf's method are kept.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Any

import msgspec
import spf

from contracts.auth_results import AuthReason, SpfWord
from contracts.dns_answers import DnsAnswer, DnsStatus
from mail.authentication.limit_dns import Recall

MAX_VOID = 2  # RFC 7208 §4.6.4


class NeedsLookup(BaseException):
    """pyspf needs answers that are not known yet. A BaseException, so that no handler of pyspf takes it."""

    def __init__(self, questions: list[tuple[str, str]]) -> None:
        super().__init__(questions)
        self.questions = questions


class SpfEvaluation(msgspec.Struct, frozen=True):
    """What one finished run found."""

    word: SpfWord
    reason: AuthReason = AuthReason.OK
    record: str = ""
    mechanism: str = ""
    explanation: str = ""
    detail: str = ""
    lookups: int = 0  # terms that needed DNS; ten are allowed (RFC 7208 §4.6.4)


def run_spf(
    peer_ip: str,
    sender: str,
    helo: str,
    receiver: str,
    now: float,
    known: dict[tuple[str, str], DnsAnswer],
    at_hand: Recall | None = None,
) -> SpfEvaluation:
    """Evaluate; raises only NeedsLookup. What `at_hand` gave is added to `known`."""
    try:
        query = AnsweringQuery(peer_ip, sender, helo, receiver or None, now, known, at_hand)
        word, _, explanation = query.check()
    except (spf.PermError, UnicodeError) as error:
        return SpfEvaluation(SpfWord.PERMERROR, AuthReason.SPF_SYNTAX, detail=str(error))
    except spf.TempError as error:
        return SpfEvaluation(SpfWord.TEMPERROR, AuthReason.DNS_TEMPERROR, detail=str(error))
    except (ValueError, LookupError, AssertionError, AttributeError, TypeError, OSError, RecursionError) as error:
        return SpfEvaluation(
            SpfWord.PERMERROR, AuthReason.SPF_SYNTAX, detail=f"{type(error).__name__} while evaluating"
        )
    if query.missing:
        raise NeedsLookup(query.missing)  # a look-up whose signal pyspf's `except:` around exp= swallowed
    return query.conclude(word, explanation)


class AnsweringQuery(spf.query):  # type: ignore[misc]
    """pyspf's evaluation with answers from memory."""

    def __init__(
        self,
        peer_ip: str,
        sender: str,
        helo: str,
        receiver: str | None,
        now: float,
        known: dict[tuple[str, str], DnsAnswer],
        at_hand: Recall | None = None,
    ) -> None:
        super().__init__(peer_ip, sender, helo, receiver=receiver, strict=True, querytime=0)
        self.known = known
        self.at_hand = at_hand
        self.missing: list[tuple[str, str]] = []
        self.top_record = ""
        self.budget_spent = False
        if now:
            self.t = str(int(now))

    def dns(self, name: Any, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
        """Records of one name; [] where there are none, which counts as a void look-up (§4.6.4)."""
        name = str(name).rstrip(".").lower()
        if not name or any(not 0 < len(label) < 64 for label in name.split(".")) or len(name) > 253:
            return []
        answer = self.known.get((name, qtype))
        if answer is None:
            answer = self.at_hand(name, qtype) if self.at_hand is not None else None
            if answer is None:
                self.missing.append((name, qtype))
                raise NeedsLookup(self.missing)
            self.known[name, qtype] = answer
        if answer.failed:
            self.budget_spent = self.budget_spent or answer.status is DnsStatus.BUDGET
            raise spf.TempError(f"DNS {answer.status.value} for {qtype} {name}")
        records: list[Any] = [[record] for record in answer.texts()]
        if qtype == "MX":
            records = [pair for pair in answer.exchanges() if pair[1]]
        elif qtype != "TXT":
            records = list(answer.values())
        if not records and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > MAX_VOID:
                raise spf.PermError(f"Void lookup limit of {MAX_VOID} exceeded")
        return records

    def dns_spf(self, domain: str) -> Any:
        record = super().dns_spf(domain)
        if not self.top_record and record and domain == self.o:
            self.top_record = str(record)
        return _plain_modifiers(str(record)) if record else record

    def validated_ptrs(self) -> list[str]:
        """A DNS error while validating a name skips that name, an error for PTR is no match (§5.5)."""
        try:
            names = self.dns_ptr(self.i)[: spf.MAX_PTR]
        except spf.TempError:
            return []
        return [name for name in names if self._leads_back(name)]

    def _leads_back(self, name: str) -> bool:
        try:
            return bool(self.cidrmatch(self.dns_a(name, self.A), self.cidrmax))
        except spf.TempError:
            return False

    def cidrmatch(self, ipaddrs: list[str], n: int) -> bool:
        """Is the peer in one of the networks /n around these addresses?"""
        peer = self.ipaddr
        shift = peer.max_prefixlen - n
        try:
            addresses = [_to_address(text) for text in ipaddrs]
        except ValueError as error:
            raise spf.PermError(str(error)) from error
        return any(version == peer.version and number >> shift == int(peer) >> shift for version, number in addresses)

    def conclude(self, word: str, explanation: str) -> SpfEvaluation:
        """pyspf's answer in our words."""
        result = SpfWord(word) if word in SpfWord._value2member_map_ else SpfWord.PERMERROR
        own = explanation if result is SpfWord.FAIL and explanation != spf.EXPLANATIONS["fail"] else ""
        detail = explanation if result in (SpfWord.PERMERROR, SpfWord.TEMPERROR) else ""
        reason = self._reason(result, detail)
        return SpfEvaluation(result, reason, self.top_record, str(self.mechanism or ""), own, detail, self.lookups)

    def _reason(self, result: SpfWord, detail: str) -> AuthReason:
        match result:
            case SpfWord.PASS:
                return AuthReason.OK
            case SpfWord.FAIL:
                return AuthReason.SPF_NOT_AUTHORIZED
            case SpfWord.SOFTFAIL:
                return AuthReason.SPF_SOFT_NOT_AUTHORIZED
            case SpfWord.NEUTRAL:
                return AuthReason.SPF_NEUTRAL
            case SpfWord.NONE:
                return AuthReason.SPF_NO_RECORD
            case SpfWord.TEMPERROR:
                return AuthReason.DNS_BUDGET if self.budget_spent else AuthReason.DNS_TEMPERROR
            case _:
                return next((reason for text, reason in _PERMANENT if text in detail), AuthReason.SPF_SYNTAX)


@lru_cache(maxsize=8192)
def _to_address(text: str) -> tuple[int, int]:
    address = ipaddress.ip_address(text)
    return address.version, int(address)


def _plain_modifiers(record: str) -> str:
    """Names of modifiers are case-insensitive (§4.6.1), and beside `all` a redirect is never used (§6.1): pyspf
    takes `REDIRECT=` for an unknown modifier, and counts every redirect as a look-up."""
    record = _MODIFIER.sub(lambda match: match[0].lower(), record)
    if _ALL.search(record) is not None and record.count(" redirect=") == 1:
        record = _REDIRECT.sub("", record)
    return record


_MODIFIER = re.compile(r" (?:redirect|exp)=", re.IGNORECASE)
_ALL = re.compile(r" [+?~-]?all(?= |$)", re.IGNORECASE)
_REDIRECT = re.compile(r" redirect=[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+(?= |$)")


# pyspf tells permanent errors apart only by their text.
_PERMANENT = (
    ("Two or more type TXT", AuthReason.SPF_MULTIPLE_RECORDS),
    ("Too many DNS lookups", AuthReason.SPF_TOO_MANY_LOOKUPS),
    ("DNS lookups", AuthReason.SPF_TOO_MANY_LOOKUPS),
    ("MX records returned", AuthReason.SPF_TOO_MANY_LOOKUPS),
    ("Void lookup limit", AuthReason.SPF_TOO_MANY_VOID),
    ("No valid SPF record for included", AuthReason.SPF_INCLUDE_MISSING),
    ("redirect domain has no SPF", AuthReason.SPF_INCLUDE_MISSING),
)
