"""DMARC: which record applies, what aligns, and what the domain asks for."""

from typing import Any

import pytest

from contracts.auth_results import DkimResult, DkimWord, DmarcResult, SpfResult, SpfWord
from mail.authentication.check_dmarc import check_dmarc
from mail.authentication.dmarc_record import parse_dmarc
from mail.authentication.walk_tree import steps
from tests.fakes.zone import Zone


async def dmarc(author: str, *, spf: str = "", dkim: str = "", zone: Zone | None = None, **records: str) -> DmarcResult:
    names: dict[str, Any] = {f"_dmarc.{name.replace('__', '.')}": {"TXT": [text]} for name, text in records.items()}
    sender = SpfResult(SpfWord.PASS, domain=spf) if spf else SpfResult(SpfWord.FAIL, domain="bounce.example")
    signatures = [DkimResult(DkimWord.PASS, domain=dkim)] if dkim else []
    return (await check_dmarc(author, sender, signatures, zone or Zone(names))).result


@pytest.mark.parametrize(
    ("author", "given", "word"),
    [
        ("example.org", {"dkim": "example.org"}, "pass"),
        ("example.org", {"dkim": "mail.example.org"}, "pass"),
        ("mail.example.org", {"dkim": "example.org"}, "pass"),
        ("a.example.org", {"dkim": "b.example.org"}, "pass"),
        ("example.org", {"spf": "bounces.example.org"}, "pass"),
        ("example.org", {"dkim": "example.net"}, "fail"),
        ("example.org", {"dkim": "badexample.org"}, "fail"),
        ("example.org", {"dkim": "org"}, "fail"),
        ("example.org", {}, "fail"),
    ],
)
async def test_relaxed_alignment(author: str, given: dict[str, str], word: str) -> None:
    assert (await dmarc(author, example__org="v=DMARC1; p=reject", **given)).result == word


async def test_subdomain_with_its_own_organization_does_not_align() -> None:
    found = await dmarc(
        "example.org",
        dkim="team.example.org",
        example__org="v=DMARC1; p=reject",
        team__example__org="v=DMARC1; p=none; psd=n",
    )
    assert found.result == "fail"


async def test_strict_alignment_needs_the_same_name() -> None:
    text = "v=DMARC1; p=reject; adkim=s; aspf=s"
    assert (
        await dmarc("example.org", dkim="mail.example.org", spf="mail.example.org", example__org=text)
    ).result == "fail"
    assert (await dmarc("example.org", spf="example.org", example__org=text)).result == "pass"


async def test_domain_under_a_public_suffix_record_is_its_own_organization() -> None:
    found = await dmarc("a.bank.example", dkim="bank.example", example="v=DMARC1; p=none; sp=reject; psd=y")
    assert (found.result, found.organizational_domain, found.policy) == ("pass", "bank.example", "reject")
    assert (await dmarc("a.bank.example", dkim="shop.example", example="v=DMARC1; p=reject; psd=y")).result == "fail"


async def test_record_between_author_and_organization_sets_no_policy() -> None:
    found = await dmarc(
        "x.y.example.org", example__org="v=DMARC1; p=none; sp=quarantine", y__example__org="v=DMARC1; p=reject"
    )
    assert (found.record_domain, found.policy) == ("example.org", "quarantine")


@pytest.mark.parametrize(
    ("text", "word", "policy"),
    [
        ("v=DMARC1; p=reject", "fail", "reject"),
        ("v=DMARC1;p=Reject;", "fail", "reject"),
        ("v = DMARC1 ; p = quarantine", "fail", "quarantine"),
        ("v=DMARC1; p=reject; t=y", "fail", "quarantine"),
        ("v=DMARC1; p=quarantine; t=y", "fail", "none"),
        ("v=DMARC1; p=reject; pct=0", "fail", "reject"),
        ("v=DMARC1; rua=mailto:a@example.org", "fail", "none"),
        ("v=DMARC1; p=block; rua=mailto:a@example.org", "fail", "none"),
        ("v=DMARC1; p=reject; sp=block; rua=mailto:a@example.org", "fail", "none"),
        ("v=DMARC1; p=block", "none", "none"),
        ("v=DMARC1; rua=nowhere", "none", "none"),
        ("v=DMARC1", "none", "none"),
        ("v=dmarc1; p=reject", "none", "none"),
        ("v=DMARC10; p=reject", "none", "none"),
        ("p=reject; v=DMARC1", "none", "none"),
        ("v=DMARC1 p=reject", "none", "none"),
        ("v=DMARC1; unknown=1; garbage; p=reject", "fail", "reject"),
    ],
)
async def test_records_are_read(text: str, word: str, policy: str) -> None:
    found = await dmarc("example.org", example__org=text)
    assert (found.result, found.policy) == (word, policy)


async def test_two_records_at_one_name_count_as_none() -> None:
    zone = Zone({"_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]}})
    found = await dmarc("example.org", zone=zone)
    assert (found.result, found.reason) == ("none", "dmarc_multiple_records")


async def test_np_applies_only_to_names_that_do_not_exist() -> None:
    text = "v=DMARC1; p=none; sp=quarantine; np=reject"
    names: dict[str, Any] = {"_dmarc.example.org": {"TXT": [text]}, "real.example.org": {"MX": ["10 a.example"]}}
    assert (await dmarc("gone.example.org", zone=Zone(names))).policy == "reject"
    assert (await dmarc("real.example.org", zone=Zone(names))).policy == "quarantine"
    assert (await dmarc("example.org", zone=Zone(names))).policy == "none"


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
async def test_dns_failure_is_temperror(failure: str) -> None:
    found = await dmarc("example.org", zone=Zone({"_dmarc.example.org": {"TXT": failure}}))
    assert (found.result, found.policy) == ("temperror", "none")


async def test_dns_failure_above_a_record_of_its_own_does_no_harm() -> None:
    names = {"_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject"]}, "_dmarc.org": {"TXT": "SERVFAIL"}}
    assert (await dmarc("example.org", dkim="example.org", zone=Zone(names))).result == "pass"
    assert (await dmarc("example.org", zone=Zone(names))).result == "fail"


async def test_temporary_error_of_an_aligned_signature_is_no_failure() -> None:
    zone = Zone({"_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject"]}})
    for domain, word in (("example.org", "temperror"), ("example.net", "fail")):
        signature = DkimResult(DkimWord.TEMPERROR, domain=domain)
        found = await check_dmarc("example.org", SpfResult(SpfWord.FAIL), [signature], zone)
        assert found.result.result == word


def test_walk_asks_eight_names_at_most() -> None:
    assert steps("a.b.c.d.e.f.g.h.i.j.example.com") == [
        "a.b.c.d.e.f.g.h.i.j.example.com",
        "g.h.i.j.example.com".join(["f.", ""]),
        "g.h.i.j.example.com",
        "h.i.j.example.com",
        "i.j.example.com",
        "j.example.com",
        "example.com",
        "com",
    ]
    assert steps("a.b.c.d.e.f.g.com")[1] == "b.c.d.e.f.g.com"
    assert steps("example.com") == ["example.com", "com"]


async def test_other_answer_of_rfc_7489_is_kept_beside() -> None:
    found = await dmarc("a.b.example.org", dkim="example.org", example__org="v=DMARC1; p=reject; sp=none; pct=50")
    assert found.rfc7489 is not None and found.rfc7489.pct == 50
    tree = await dmarc("shop.co.uk", co__uk="v=DMARC1; p=reject; psd=y")
    assert (tree.result, tree.policy) == ("fail", "reject")
    assert tree.rfc7489 is not None and tree.rfc7489.result == "none"
    assert (await dmarc("example.org", example__org="v=DMARC1; p=reject")).rfc7489 is None


def test_case_of_values_that_are_no_keywords_is_kept() -> None:
    record = parse_dmarc("v=DMARC1; p=none; rua=mailto:Reports@Example.ORG!10m, mailto:b@example.org")
    assert record is not None
    assert record.rua == ("mailto:Reports@Example.ORG!10m", "mailto:b@example.org")
