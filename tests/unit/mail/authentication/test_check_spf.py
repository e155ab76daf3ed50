"""SPF: what the record of a domain says about a host."""

import asyncio
from typing import Any

import pytest

from contracts.auth_results import SpfResult
from mail.authentication.check_spf import check_spf
from tests.fakes.zone import Zone


async def spf(
    record: str | list[str], peer: str = "192.0.2.1", sender: str = "joe@example.org", **names: Any
) -> SpfResult:
    records: dict[str, Any] = {"example.org": {"TXT": [record] if isinstance(record, str) else record}}
    records |= {name.replace("__", "."): types for name, types in names.items()}
    return await check_spf(peer, "mx.example.org", sender, Zone(records), receiver="mx.example.com", now=1.0)


@pytest.mark.parametrize(
    ("record", "word", "reason"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", "pass", ""),
        ("v=spf1 -all", "fail", "spf_not_authorized"),
        ("v=spf1 ~all", "softfail", "spf_soft_not_authorized"),
        ("v=spf1 ?all", "neutral", "spf_neutral"),
        ("v=spf1", "neutral", "spf_neutral"),
        ("v=spf10 -all", "none", "spf_no_record"),
        ("V=SPF1 IP4:192.0.2.1 -ALL", "pass", ""),
        ("v=spf1 ipv4:192.0.2.1 -all", "permerror", "spf_syntax"),
        ("v=spf1 ip4:192.0.2.1/33 -all", "permerror", "spf_syntax"),
        ("v=spf1 include:missing.example -all", "permerror", "spf_include_missing"),
        ("v=spf1 redirect=missing.example", "permerror", "spf_include_missing"),
        ("v=spf1 a:gone1.example a:gone2.example a:gone3.example -all", "permerror", "spf_too_many_void"),
        ("v=spf1 a:\u00e9.example -all", "permerror", "spf_syntax"),
        ("v=spf1 include:example.org -all", "permerror", "spf_syntax"),
    ],
)
async def test_records_are_judged(record: str, word: str, reason: str) -> None:
    found = await spf(record)
    assert (found.result, found.reason) == (word, reason)


async def test_two_records_are_a_permanent_error() -> None:
    found = await spf(["v=spf1 -all", "v=spf1 +all"])
    assert (found.result, found.reason) == ("permerror", "spf_multiple_records")


async def test_eleventh_term_that_needs_dns_is_a_permanent_error() -> None:
    names = {f"h{index}__example": {"A": ["198.51.100.1"]} for index in range(11)}
    ten = " ".join(f"a:h{index}.example" for index in range(10))
    assert (await spf(f"v=spf1 {ten} -all", **names)).result == "fail"
    assert (await spf(f"v=spf1 {ten} a:h10.example -all", **names)).reason == "spf_too_many_lookups"


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
async def test_dns_failure_is_temperror_wherever_it_happens(failure: str) -> None:
    assert (await check_spf("192.0.2.1", "h.example", "a@b.example", Zone({"b.example": {"TXT": failure}}))).result == (
        "temperror"
    )
    assert (await spf("v=spf1 include:inner.example -all", inner__example={"TXT": failure})).result == "temperror"


async def test_dns_failure_for_the_reverse_name_is_no_match() -> None:
    found = await spf("v=spf1 ptr -all", **{"1__2__0__192__in-addr__arpa": {"PTR": "SERVFAIL"}})
    assert found.result == "fail"


async def test_names_of_modifiers_are_case_insensitive() -> None:
    target = {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}
    assert (await spf("v=spf1 REDIRECT=other.example", other__example=target)).result == "pass"


async def test_redirect_beside_all_is_neither_used_nor_counted() -> None:
    names = {f"h{index}__example": {"A": ["198.51.100.1"]} for index in range(10)}
    ten = " ".join(f"a:h{index}.example" for index in range(10))
    assert (await spf(f"v=spf1 {ten} redirect=other.example ~all", **names)).result == "softfail"
    assert (await spf("v=spf1 redirect=a.example redirect=b.example -all")).result == "permerror"


async def test_explanation_of_the_domain_is_expanded() -> None:
    found = await spf(
        "v=spf1 -all exp=why.example.org", why__example__org={"TXT": ["%{i} may not send for %{d}, says %{r}"]}
    )
    assert found.explanation == "192.0.2.1 may not send for example.org, says mx.example.com"


async def test_macros_use_the_sender() -> None:
    found = await spf(
        "v=spf1 exists:%{l}.%{ir}._spf.%{d} -all", joe__1__2__0__192___spf__example__org={"A": ["127.0.0.2"]}
    )
    assert found.result == "pass"


async def test_cname_is_followed() -> None:
    found = await spf(
        "v=spf1 include:alias.example -all",
        alias__example={"CNAME": "real.example"},
        real__example={"TXT": ["v=spf1 ip4:192.0.2.1 -all"]},
    )
    assert found.result == "pass"


@pytest.mark.parametrize("peer", ["::ffff:192.0.2.1", "192.0.2.1"])
async def test_mapped_address_counts_as_ipv4(peer: str) -> None:
    assert (await spf("v=spf1 ip4:192.0.2.1 -all", peer)).result == "pass"


async def test_ipv6_networks_match() -> None:
    assert (await spf("v=spf1 ip6:2001:db8::/32 -all", "2001:db8:1::1")).result == "pass"
    assert (await spf("v=spf1 ip6:2001:db8::/32 -all", "2001:db9::1")).result == "fail"
    assert (await spf("v=spf1 ip4:0.0.0.0/0 -all", "2001:db8::1")).result == "fail"


@pytest.mark.parametrize("peer", ["", "unknown", "300.1.1.1", "unix:/run/x"])
async def test_peer_without_an_address_is_none(peer: str) -> None:
    assert (await spf("v=spf1 -all", peer)).result == "none"


@pytest.mark.parametrize(
    "sender",
    ["joe", "joe@", "joe@localhost", "joe@" + "a" * 64 + ".example", "joe@a..b", "joe@[192.0.2.1]", "@", "\x00"],
)
async def test_sender_without_a_domain_is_none(sender: str) -> None:
    assert (await spf("v=spf1 -all", sender=sender)).result == "none"


async def test_internationalized_sender_is_asked_as_a_label() -> None:
    found = await spf(
        "v=spf1 -all", sender="joe@bücher.example", **{"xn--bcher-kva__example": {"TXT": ["v=spf1 +all"]}}
    )
    assert (found.result, found.domain) == ("pass", "xn--bcher-kva.example")


async def test_null_sender_asks_for_the_name_in_helo() -> None:
    zone = Zone({"mx.example.org": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}})
    for sender in ("", "<>"):
        found = await check_spf("192.0.2.1", "mx.example.org", sender, zone)
        assert (found.result, found.identity, found.domain) == ("pass", "helo", "mx.example.org")


async def test_record_that_fans_out_is_stopped() -> None:
    fan = {
        f"f{index}__example": {"TXT": [f"v=spf1 include:f{index * 2}.example include:f{index * 2 + 1}.example -all"]}
        for index in range(1, 3000)
    }
    zone = Zone({name.replace("__", "."): types for name, types in fan.items()})
    found = await check_spf("192.0.2.1", "h.example", "a@f1.example", zone)
    assert found.reason == "spf_too_many_lookups"
    assert len(zone.asked) < 40


async def test_evaluations_at_once_do_not_mix() -> None:
    async def one(index: int) -> tuple[str, str]:
        found = await spf(f"v=spf1 ip4:192.0.2.{index} a:mx.example.org -all", f"192.0.2.{index}", mx__example__org={})
        other = await spf("v=spf1 include:inner.example -all", inner__example={"TXT": ["v=spf1 ip4:203.0.113.9 -all"]})
        return found.result.value, other.result.value

    assert set(await asyncio.gather(*(one(index) for index in range(50)))) == {("pass", "fail")}
