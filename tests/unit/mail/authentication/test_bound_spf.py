"""SPF: no record costs more than a mail is worth, and what RFC 7208 §4.6.4 counts is counted by term."""

import time
from typing import Any

import pytest

from contracts.auth_results import SpfResult
from mail.authentication.bound_spf import MAX_RECORD, MAX_TERM, MAX_TERMS
from mail.authentication.check_spf import check_spf
from tests.fakes.zone import Zone

SENDER = "joe@example.org"


async def spf(records: dict[str, dict[str, Any]], peer: str = "192.0.2.1", sender: str = SENDER) -> SpfResult:
    return await check_spf(peer, "mx.example.org", sender, Zone(records), receiver="mx.example.com", now=1.0)


@pytest.mark.parametrize(
    ("terms", "fits"),
    [
        ("ip4:198.51.100.1 " * 200, True),
        ("ip4:198.51.100.1 " * (MAX_RECORD // 17 + 1), False),
        ("ip4:10.0.0.1 " * (MAX_TERMS - 2), True),
        ("ip4:10.0.0.1 " * (MAX_TERMS - 1), False),
        (" " * 3000, True),
        (" " * MAX_RECORD, False),
        ("x=" + "a" * (MAX_TERM - 2) + " ", True),
        ("x=" + "a" * (MAX_TERM - 1) + " ", False),
    ],
)
@pytest.mark.parametrize("included", [False, True])
async def test_a_record_beyond_any_use_is_a_permanent_error(terms: str, fits: bool, included: bool) -> None:
    records: dict[str, dict[str, Any]] = {"example.org": {"TXT": ["v=spf1 include:inner.example -all"]}}
    records["inner.example" if included else "example.org"] = {"TXT": [f"v=spf1 {terms}-all"]}
    found = await spf(records)
    assert (found.result, found.reason) == (("fail", "spf_not_authorized") if fits else ("permerror", "spf_syntax"))
    assert fits or "too long" in found.detail


async def test_other_texts_of_the_name_do_not_count() -> None:
    found = await spf({"example.org": {"TXT": ["token=" + "x" * 9000, *["a"] * 3000, "v=spf1 ip4:192.0.2.1 -all"]}})
    assert found.result == "pass"


async def test_an_explanation_beyond_any_use_is_ignored() -> None:
    records = {
        "example.org": {"TXT": ["v=spf1 -all exp=why.example.org"]},
        "why.example.org": {"TXT": ["%{p}." * 10_000]},
    }
    begun = time.process_time()
    found = await spf(records)
    assert (found.result, found.explanation) == ("fail", "")
    assert time.process_time() - begun < 0.5


def _includes(record: str) -> dict[str, dict[str, Any]]:
    names = [f"i{number}.example" for number in range(10)]
    return {
        "example.org": {"TXT": [f"v=spf1 {' '.join(f'include:{name}' for name in names)} -all"]},
        "1.2.0.192.in-addr.arpa": {"PTR": ["p.example.org"]},
        "p.example.org": {"A": ["192.0.2.1"]},
        **{name: {"TXT": [record]} for name in names},
    }


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 " + "ip4:198.51.100.1 " * 4800 + "-all",
        "v=spf1 " + "ip4:10.2.33.4 " * 250 + "-all",
        *(
            f"v=spf1 {' '.join(f'y{number}={macro * (480 // len(macro))}' for number in range(8))} -all"
            for macro in ("%{d}.", "%{lr-}.", "%{p}.", "%{P}", "%{i}.", "%{L}")
        ),
    ],
    ids=lambda record: f"{len(record)} octets of {record[7:20]}",
)
async def test_ten_includes_of_a_costly_record_are_fast(record: str) -> None:
    begun = time.process_time()
    await spf(_includes(record), sender="a.b-c+" * 40 + "@example.org")
    assert time.process_time() - begun < 0.5


async def test_a_hundred_mail_exchangers_are_asked_in_twenty_steps() -> None:
    names = [f"m{number}.example" for number in range(10)]
    hosts = {name: [f"h{number}.{name}" for number in range(10)] for name in names}
    records: dict[str, dict[str, Any]] = {name: {"MX": [f"10 {host}" for host in hosts[name]]} for name in names}
    records |= {host: {"A": ["198.51.100.1"]} for name in names for host in hosts[name]}
    records["example.org"] = {"TXT": [f"v=spf1 {' '.join(f'mx:{name}' for name in names)} {'ip4:10.0.0.1 ' * 200}-all"]}
    begun = time.process_time()
    found = await spf(records)
    assert (found.result, found.reason) == ("fail", "spf_not_authorized")
    assert time.process_time() - begun < 0.5


V6 = "2001:db8::1"


@pytest.mark.parametrize(
    ("record", "word", "reason"),
    [
        ("v=spf1 mx ip6:2001:db8::/32 -all", "pass", ""),
        ("v=spf1 mx a -all", "fail", "spf_not_authorized"),
        ("v=spf1 mx a:h1.example a:h2.example -all", "permerror", "spf_too_many_void"),
        ("v=spf1 mx include:inner.example -all", "permerror", "spf_too_many_void"),
        ("v=spf1 ptr -all", "fail", "spf_not_authorized"),
    ],
)
async def test_void_lookups_count_by_term(record: str, word: str, reason: str) -> None:
    hosts = [f"h{number}.example" for number in range(3)]
    reverse = ".".join(reversed("20010db8000000000000000000000001")) + ".ip6.arpa"
    records: dict[str, dict[str, Any]] = {host: {"A": ["198.51.100.1"]} for host in hosts}
    records["example.org"] = {"TXT": [record], "MX": [f"10 {host}" for host in hosts], "A": ["198.51.100.1"]}
    records["inner.example"] = {"TXT": ["v=spf1 a:h1.example a:h2.example -all"]}
    records[reverse] = {"PTR": hosts}
    found = await spf(records, V6)
    assert (found.result, found.reason) == (word, reason)


@pytest.mark.parametrize(
    ("record", "word", "reason"),
    [
        ("v=spf1 ip4:192.0.2.1 include:example.org -all", "pass", ""),
        ("v=spf1 ip4:192.0.2.1 -include:%{d} -all", "pass", ""),
        ("v=spf1 ?all include:example.org", "neutral", "spf_neutral"),
        ("v=spf1 ip4:198.51.100.1 include:example.org ip4:192.0.2.1 -all", "permerror", "spf_syntax"),
        ("v=spf1 ip4:192.0.2.1 +include -all", "permerror", "spf_syntax"),
        ("v=spf1 ip4:192.0.2.1 include: -all", "permerror", "spf_syntax"),
        ("v=spf1 ip4:192.0.2.1 include:example.org oops -all", "permerror", "spf_syntax"),
    ],
)
async def test_a_match_ends_the_evaluation_before_a_record_includes_itself(record: str, word: str, reason: str) -> None:
    found = await spf({"example.org": {"TXT": [record]}})
    assert (found.result, found.reason) == (word, reason)
