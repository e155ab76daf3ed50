"""Run pyspf once over the DNS answers known so far (RFC 7208 §4 to §7).

pyspf's own look-up is never reached: `AnsweringQuery.dns` answers from `known` and raises `NeedsLookup` for
what is missing. What a run works out is kept for the next run of the same mail; records, terms and explanations
are bounded in size, so that no record costs more than milliseconds.
"""

import ipaddress
import re
from functools import lru_cache
from typing import Any

import msgspec
import spf

from contracts.auth_results import AuthReason, SpfWord
from contracts.dns_answers import DnsAnswer, DnsStatus
from mail.authentication.bound_spf import MAX_EXPLANATION, MAX_TERM, is_too_long, to_records, usable_name
from mail.authentication.limit_dns import Recall

MAX_VOID = 2  # terms whose look-ups find nothing (RFC 7208 §4.6.4)

Memo = dict[tuple[Any, ...], Any]  # what the runs of one evaluation work out


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
    memo: Memo | None = None,
) -> SpfEvaluation:
    """Evaluate; raises only NeedsLookup. What `at_hand` gave is added to `known`; `memo` serves the runs of one mail."""
    try:
        query = AnsweringQuery(peer_ip, sender, helo, receiver or None, now, known, at_hand, memo)
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
        memo: Memo | None = None,
    ) -> None:
        super().__init__(peer_ip, sender, helo, receiver=receiver, strict=True, querytime=0)
        self.known = known
        self.at_hand = at_hand
        self.memo: Memo = {} if memo is None else memo
        self.missing: list[tuple[str, str]] = []
        self.void_counted = False  # a void look-up of this term is counted already
        self.top_record = ""
        self.budget_spent = False
        if now:
            self.t = str(int(now))

    def dns(self, name: Any, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:
        """Records of one name; [] where there are none, which counts as a void look-up (§4.6.4)."""
        name = usable_name(name)
        if not name:
            return []
        answer = self._recall(name, qtype)
        if answer is None:
            self.missing.append((name, qtype))
            raise NeedsLookup(self.missing)
        if answer.failed:
            self.budget_spent = self.budget_spent or answer.status is DnsStatus.BUDGET
            raise spf.TempError(f"DNS {answer.status.value} for {qtype} {name}")
        key = (name, qtype, ignore_void)
        if key not in self.memo:
            self.memo[key] = to_records(answer, qtype, ignore_void)
        records: list[Any]
        records, void = self.memo[key]
        if void and not ignore_void:
            self._count_void()
        return records

    def _recall(self, name: str, qtype: str) -> DnsAnswer | None:
        answer = self.known.get((name, qtype))
        if answer is None and self.at_hand is not None:
            answer = self.at_hand(name, qtype)
            if answer is not None:
                self.known[name, qtype] = answer
        return answer

    def _need_all(self, names: list[str]) -> None:
        """All these hosts will be looked up: ask for what is missing at once, not in a run each."""
        usable = dict.fromkeys(usable_name(name) for name in names)
        lacking = [(name, self.A) for name in usable if name and self._recall(name, self.A) is None]
        if lacking:
            self.missing.extend(lacking)
            raise NeedsLookup(self.missing)

    def check_lookups(self) -> None:
        """Called once for each term that needs DNS, before its look-ups."""
        self.void_counted = False
        super().check_lookups()

    def _count_void(self) -> None:
        """§4.6.4 counts the terms whose look-ups are void: an `mx` with three hosts that lack AAAA is one."""
        if self.void_counted:
            return
        self.void_counted = True
        self.void_lookups += 1
        if self.void_lookups > MAX_VOID:
            raise spf.PermError(f"Void lookup limit of {MAX_VOID} exceeded")

    def dns_spf(self, domain: str) -> Any:
        record = super().dns_spf(domain)
        if not record:
            return record
        record = str(record)
        if not self.top_record and domain == self.o:
            self.top_record = record
        if is_too_long(record):
            raise spf.PermError(f"SPF record of {domain} is too long: {len(record)} octets")
        return _plain_modifiers(record)

    def check1(self, record: Any, domain: str, recursion: int) -> Any:
        if recursion and domain == self.d:
            raise spf.PermError("include has trivial recursion", domain)
        return super().check1(record, domain, recursion)

    def validate_mechanism(self, mech: str) -> Any:
        """pyspf refuses a record that includes itself even where a match ends the evaluation before (§4.6.2)."""
        key = self._key("mechanism", mech)
        if key in self.memo:
            return self.memo[key]
        try:
            found = super().validate_mechanism(mech)
        except spf.PermError as error:
            if error.msg != "include has trivial recursion" or ":" not in mech:
                raise
            found = (mech, "include", self.d, self.cidrmax, spf.RESULTS.get(mech[0], "pass"))
        self.memo[key] = found
        return found

    def expand(self, text: str, stripdot: bool = True) -> Any:
        """Expand macros (§7). An explanation may be longer than a term."""
        if len(text) > (MAX_TERM if stripdot else MAX_EXPLANATION):
            raise spf.PermError("text with macros is too long")
        key = self._key("domain" if stripdot else "explanation", text)
        if key not in self.memo:
            self.memo[key] = super().expand(text, stripdot)
        return self.memo[key]

    def _key(self, kind: str, text: str) -> tuple[Any, ...]:
        """What the meaning of `text` depends on. `%{p}` is worked out in every run, since its look-ups may be void."""
        return kind, text, self.d, self.getp() if "%{p" in text.lower() else ""

    def dns_mx(self, domain: str) -> Any:
        """All hosts are looked up, at most ten (§4.6.4)."""
        exchanges = self.dns(domain, "MX")
        if len(exchanges) <= spf.MAX_MX:
            self._need_all([host for _, host in exchanges])
        return super().dns_mx(domain)

    def validated_ptrs(self) -> list[str]:
        """A DNS error while validating a name skips that name, an error for PTR is no match (§5.5)."""
        try:
            names = self.dns_ptr(self.i)[: spf.MAX_PTR]
        except spf.TempError:
            return []
        self._need_all(names)
        return [name for name in names if self._leads_back(name)]

    def _leads_back(self, name: str) -> bool:
        try:
            return bool(self.cidrmatch(self.dns_a(name, self.A), self.cidrmax))
        except spf.TempError:
            return False

    def cidrmatch(self, ipaddrs: list[str], n: int) -> bool:
        """Is the peer in one of the networks /n around these addresses?"""
        key = ("match", tuple(ipaddrs), n)
        if key not in self.memo:
            self.memo[key] = self._matches(ipaddrs, n)
        return bool(self.memo[key])

    def _matches(self, ipaddrs: list[str], n: int) -> bool:
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
