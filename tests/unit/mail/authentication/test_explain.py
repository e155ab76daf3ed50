"""Every failure has one sentence of cause and one of cure."""

import pytest

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
)
from mail.authentication.explain import explain
from tests.fakes.signed_mail import MESSAGE, check, sign, zone

SILENT = (AuthReason.OK, AuthReason.NOT_SIGNED, AuthReason.TOO_MANY_SIGNATURES)  # no check that failed carries these


def all_failed(reason: AuthReason) -> AuthResults:
    return explain(
        AuthResults(
            spf=SpfResult(SpfWord.FAIL, reason, domain="example.org", peer_ip="192.0.2.9"),
            dkim=(DkimResult(DkimWord.FAIL, reason, domain="example.org", selector="s1", detail="something"),),
            dmarc=DmarcResult(DmarcWord.FAIL, reason, domain="example.org"),
            arc=ArcResult(ArcWord.FAIL, reason, domain="example.org"),
            iprev=IprevResult(IprevWord.FAIL, reason, peer_ip="192.0.2.9", domain="h.example"),
        )
    )


@pytest.mark.parametrize("reason", [reason for reason in AuthReason if reason not in SILENT])
def test_every_reason_is_explained_by_some_check(reason: AuthReason) -> None:
    found = all_failed(reason)
    sentences = [(one.cause, one.cure) for one in (found.spf, found.dkim[0], found.dmarc, found.arc, found.iprev)]
    assert any(cause for cause, _ in sentences), reason
    for cause, cure in sentences:
        assert not cause or cause.rstrip().endswith((".", ")", "`")), cause
        assert not cure or cure.endswith((".", "…`.")), cure


async def test_unaligned_vendor_is_named_with_its_cure() -> None:
    found = await check(
        sign(tags={"d": "vendor.example"}), zone(), envelope_from="bounce@vendor.example", peer_ip="198.51.100.7"
    )
    assert found.dkim_word == "pass"
    assert found.dmarc.cause == "Signed by vendor.example, which does not align with example.org."
    assert (
        found.dmarc.cure
        == "Have vendor.example sign with d=example.org, or send with an envelope sender of example.org."
    )


async def test_what_passed_needs_no_words() -> None:
    found = await check(sign())
    assert (found.spf.cause, found.spf.cure, found.dmarc.cause, found.iprev.cure) == ("", "", "", "")


async def test_hostile_text_stays_short() -> None:
    found = await check(MESSAGE, zone(example__org={"TXT": ["v=spf1 " + "x" * 4000 + " -all"]}))
    assert len(found.spf.cause) <= 512
    assert len(found.spf.record) <= 1024
