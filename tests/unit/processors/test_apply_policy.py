"""What a domain's policy refuses, what is exempt, and what the sender hears."""

from typing import Any

import pytest

from contracts.auth_results import (
    ArcResult,
    ArcWord,
    AuthReason,
    AuthResults,
    DkimResult,
    DkimWord,
    DmarcPolicy,
    DmarcResult,
    DmarcWord,
    SpfResult,
    SpfWord,
)
from contracts.settings import InboundDomain
from contracts.statuses import Status
from processors.apply_policy import apply_policy
from processors.decision import Decision


def dmarc(policy: DmarcPolicy, word: DmarcWord = DmarcWord.FAIL) -> AuthResults:
    return AuthResults(dmarc=DmarcResult(result=word, policy=policy, domain="bank.test"))


def spf(word: SpfWord) -> AuthResults:
    return AuthResults(spf=SpfResult(result=word, domain="bank.test", peer_ip="192.0.2.7"))


def dkim(*words: DkimWord) -> AuthResults:
    return AuthResults(dkim=tuple(DkimResult(result=word, domain="bank.test") for word in words))


def decide(auth: AuthResults, *reject_on: str, **more: Any) -> Decision | None:
    return apply_policy(auth, InboundDomain.model_validate({"reject_on": list(reject_on), **more}))


@pytest.mark.parametrize(
    ("auth", "word", "reason", "code"),
    [
        (dmarc(DmarcPolicy.REJECT), "dmarc-reject", "dmarc_reject", "550 5.7.26"),
        (dmarc(DmarcPolicy.REJECT), "dmarc-quarantine", "dmarc_reject", "550 5.7.26"),
        (dmarc(DmarcPolicy.QUARANTINE), "dmarc-quarantine", "dmarc_quarantine", "550 5.7.26"),
        (AuthResults(flags=("from_malformed",)), "bad-from", "bad_from", "550 5.7.1"),
        (AuthResults(flags=("no_from", "bare_lf")), "bad-from", "bad_from", "550 5.7.1"),
        (AuthResults(flags=("author_unchecked",)), "bad-from", "bad_from", "550 5.7.1"),
        (spf(SpfWord.FAIL), "spf-fail", "spf_fail", "550 5.7.23"),
        (dkim(DkimWord.FAIL), "dkim-fail", "dkim_fail", "550 5.7.20"),
        (dkim(DkimWord.PERMERROR), "dkim-fail", "dkim_fail", "550 5.7.20"),
        (dkim(DkimWord.POLICY, DkimWord.PERMERROR), "dkim-fail", "dkim_fail", "550 5.7.20"),
    ],
)
def test_a_check_that_failed_is_refused_by_name(auth: AuthResults, word: str, reason: str, code: str) -> None:
    refusal = decide(auth, word)
    assert refusal is not None and (refusal.reason, refusal.status) == (reason, Status.REJECTED)
    assert refusal.reply.startswith(code)
    assert (word.partition("-")[0].upper() if word != "bad-from" else "From") in refusal.reply
    assert "\r" not in refusal.reply and "\n" not in refusal.reply and refusal.detail
    assert decide(auth) is None


@pytest.mark.parametrize("word", ["dmarc-reject", "dmarc-quarantine"])
def test_an_author_that_cannot_be_checked_is_refused_where_a_dmarc_policy_holds(word: str) -> None:
    refusal = decide(AuthResults(flags=("header_cap", "author_unchecked")), word)
    assert refusal is not None and (refusal.reason, refusal.reply[:15]) == ("bad_from", "550 5.7.1 From ")
    assert decide(AuthResults(flags=("no_from",)), word) is None


@pytest.mark.parametrize(
    ("auth", "word"),
    [
        (dmarc(DmarcPolicy.QUARANTINE), "dmarc-reject"),
        (dmarc(DmarcPolicy.NONE), "dmarc-quarantine"),
        (dmarc(DmarcPolicy.REJECT, DmarcWord.PASS), "dmarc-reject"),
        (dmarc(DmarcPolicy.REJECT, DmarcWord.NONE), "dmarc-reject"),
        (spf(SpfWord.SOFTFAIL), "spf-fail"),
        (AuthResults(flags=("display_name_address", "bare_lf")), "bad-from"),
        (spf(SpfWord.PERMERROR), "spf-fail"),
        (spf(SpfWord.FAIL), "dmarc-reject"),
        (dkim(), "dkim-fail"),
        (dkim(DkimWord.NEUTRAL), "dkim-fail"),
        (dkim(DkimWord.FAIL, DkimWord.PASS), "dkim-fail"),
    ],
)
def test_what_is_not_certain_is_not_refused(auth: AuthResults, word: str) -> None:
    assert decide(auth, word) is None


def open_dmarc(policy: DmarcPolicy | None) -> AuthResults:
    """DMARC could not be concluded; None: not even the policy is known."""
    known = {"policy": policy, "published_policy": f"p={policy.value}"} if policy is not None else {}
    return AuthResults(dmarc=DmarcResult(result=DmarcWord.TEMPERROR, domain="bank.test", **known))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("auth", "word", "code"),
    [
        (open_dmarc(DmarcPolicy.REJECT), "dmarc-reject", "451 4.7.26"),
        (open_dmarc(None), "dmarc-reject", "451 4.7.26"),
        (open_dmarc(None), "dmarc-quarantine", "451 4.7.26"),
        (open_dmarc(DmarcPolicy.QUARANTINE), "dmarc-quarantine", "451 4.7.26"),
        (open_dmarc(DmarcPolicy.QUARANTINE), "dmarc-reject", ""),
        (open_dmarc(DmarcPolicy.NONE), "dmarc-quarantine", ""),
        (
            AuthResults(dmarc=DmarcResult(result=DmarcWord.PERMERROR, reason=AuthReason.INTERNAL_ERROR)),
            "dmarc-reject",
            "451 4.7.26",
        ),
        (spf(SpfWord.TEMPERROR), "spf-fail", "451 4.7.24"),
        (spf(SpfWord.TEMPERROR), "dmarc-reject", ""),
        (dkim(DkimWord.TEMPERROR), "dkim-fail", "451 4.7.5"),
        (dkim(DkimWord.FAIL, DkimWord.TEMPERROR), "dkim-fail", "451 4.7.5"),
        (dkim(DkimWord.PASS, DkimWord.TEMPERROR), "dkim-fail", ""),
    ],
)
def test_what_dns_leaves_open_is_refused_for_now_where_the_word_could_hold(
    auth: AuthResults, word: str, code: str
) -> None:
    refusal = decide(auth, word)
    assert (refusal.reply[: len(code)] if refusal else "") == code
    assert refusal is None or (refusal.reason, refusal.status) == ("auth_temperror", Status.REJECTED)


def test_what_is_certain_is_told_before_what_is_open() -> None:
    refusal = decide(spoof(spf=SpfResult(result=SpfWord.TEMPERROR)), "spf-fail", "dmarc-reject")
    assert refusal is not None and refusal.reply.startswith("550 5.7.26")


def spoof(**more: Any) -> AuthResults:
    base = {
        "spf": SpfResult(result=SpfWord.FAIL, domain="bank.test", peer_ip="192.0.2.7"),
        "dmarc": DmarcResult(result=DmarcWord.FAIL, policy=DmarcPolicy.REJECT, domain="bank.test"),
    }
    return AuthResults(**{**base, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("allow", "auth", "exempt"),
    [
        ("192.0.2.7", spoof(), True),
        ("192.0.2.0/24", spoof(), True),
        ("192.0.3.0/24", spoof(), False),
        ("2001:db8::/32", spoof(), False),
        ("2001:db8::/32", spoof(spf=SpfResult(peer_ip="2001:db8::9")), True),
        ("192.0.2.7", spoof(spf=SpfResult(peer_ip="")), False),
        ("list.test", spoof(dkim=(DkimResult(result=DkimWord.PASS, domain="List.test"),)), True),
        ("LIST.test", spoof(dkim=(DkimResult(result=DkimWord.PASS, domain="list.test"),)), True),
        ("list.test", spoof(dkim=(DkimResult(result=DkimWord.FAIL, domain="list.test"),)), False),
        ("list.test", spoof(dkim=(DkimResult(result=DkimWord.PASS, domain="evil-list.test"),)), False),
        ("list.test", spoof(arc=ArcResult(result=ArcWord.PASS, domain="list.test")), True),
        ("list.test", spoof(arc=ArcResult(result=ArcWord.FAIL, domain="list.test")), False),
        ("bank.test", spoof(), False),
    ],
)
def test_who_is_allowed_is_exempt_by_address_or_by_a_valid_signature_only(
    allow: str, auth: AuthResults, exempt: bool
) -> None:
    assert (decide(auth, "dmarc-reject", allow=[allow]) is None) is exempt


def test_the_first_word_that_holds_names_the_reason() -> None:
    for words, reason in ((("spf-fail", "dmarc-reject"), "spf_fail"), (("dmarc-reject", "spf-fail"), "dmarc_reject")):
        refusal = decide(spoof(), *words)
        assert refusal is not None and refusal.reason == reason
