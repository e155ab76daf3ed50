"""The report about a domain: what is wrong, and how to fix it."""

from typing import Any

import pytest

from mail.authentication.check_domain import check_domain
from mail.authentication.domain_report import Level
from tests.fakes.signed_mail import rsa_key
from tests.fakes.zone import Zone

POLICY = "version: STSv1\r\nmode: enforce\r\nmx: *.example.org\r\nmax_age: 86400\r\n"


def good() -> dict[str, dict[str, Any]]:
    return {
        "example.org": {"TXT": ["v=spf1 ip4:198.51.100.0/24 -all"], "MX": ["10 mx.example.org"]},
        "mx.example.org": {"A": ["198.51.100.1"]},
        "s1._domainkey.example.org": {"TXT": [rsa_key().key_record()]},
        "_dmarc.example.org": {"TXT": ["v=DMARC1; p=reject; rua=mailto:d@example.org"]},
        "_mta-sts.example.org": {"TXT": ["v=STSv1; id=20260901"]},
        "_smtp._tls.example.org": {"TXT": ["v=TLSRPTv1; rua=mailto:t@example.org"]},
    }


async def policy(host: str) -> str:
    assert host == "mta-sts.example.org"
    return POLICY


async def test_domain_in_order_has_nothing_to_fix() -> None:
    report = await check_domain("Example.ORG", Zone(good()), ("s1",), policy)
    assert report.level is Level.OK, report.findings
    assert {finding.check for finding in report.findings} == {"mx", "spf", "dkim", "dmarc", "mta-sts"}


@pytest.mark.parametrize(
    ("name", "types", "check", "words"),
    [
        ("example.org", {"MX": ["10 mx.example.org"]}, "spf", "no SPF record"),
        ("example.org", {"TXT": ["v=spf1 +all"], "MX": ["10 mx.example.org"]}, "spf", "Every host may send"),
        ("example.org", {"TXT": ["v=spf1 a"], "MX": ["10 mx.example.org"]}, "spf", "neither allowed nor denied"),
        ("example.org", {"TXT": ["v=spf1 ipp4:1.2.3.4 -all"], "MX": ["10 mx.example.org"]}, "spf", "broken"),
        ("example.org", {"TXT": "SERVFAIL", "MX": ["10 mx.example.org"]}, "spf", "DNS failed"),
        ("example.org", {"TXT": ["v=spf1 -all"], "MX": ["10 192.0.2.1"]}, "mx", "names the address"),
        ("example.org", {"TXT": ["v=spf1 -all"]}, "mx", "no MX record"),
        ("mx.example.org", {}, "mx", "has no address"),
        ("mx.example.org", {"CNAME": "a.example"}, "mx", "alias"),
        ("s1._domainkey.example.org", {}, "dkim", "no key"),
        ("s1._domainkey.example.org", {"TXT": ["v=DKIM1; p="]}, "dkim", "unusable"),
        ("s1._domainkey.example.org", {"TXT": [rsa_key(1024).key_record()]}, "dkim", "only 1024 bits"),
        ("_dmarc.example.org", {}, "dmarc", "No DMARC record"),
        ("_dmarc.example.org", {"TXT": ["v=DMARC1; p=none"]}, "dmarc", "p=none"),
        ("_dmarc.example.org", {"TXT": ["v=DMARC1; p=x"]}, "dmarc", "no valid p="),
        ("_dmarc.example.org", {"TXT": ["v=DMARC1; p=none", "v=DMARC1; p=none"]}, "dmarc", "more than one"),
        ("_dmarc.example.org", {"TXT": ["v=DMARC1; p=reject; rua=mailto:a@x.example"]}, "dmarc", "has not agreed"),
        ("_mta-sts.example.org", {}, "mta-sts", "No MTA-STS record"),
        ("_mta-sts.example.org", {"TXT": ["v=STSv1;"]}, "mta-sts", "no id="),
        ("_smtp._tls.example.org", {}, "mta-sts", "No reports about TLS"),
    ],
)
async def test_what_is_wrong_is_named_with_a_cure(name: str, types: dict[str, Any], check: str, words: str) -> None:
    report = await check_domain("example.org", Zone(good() | {name: types}), ("s1",), policy)
    found = [one for one in report.findings if one.check == check and words in one.text]
    assert found, report.findings
    assert found[0].level is not Level.OK and found[0].cure


async def test_policy_that_forgets_an_mx_is_an_error() -> None:
    async def other(host: str) -> str:
        return POLICY.replace("*.example.org", "mx.example.net")

    report = await check_domain("example.org", Zone(good()), ("s1",), other)
    assert any("does not name the MX mx.example.org" in finding.text for finding in report.findings)


async def test_policy_that_cannot_be_fetched_is_an_error() -> None:
    async def broken(host: str) -> str:
        raise OSError("HTTP 404")

    report = await check_domain("example.org", Zone(good()), ("s1",), broken)
    assert any("HTTP 404" in finding.text for finding in report.findings)


@pytest.mark.parametrize("name", ["", "localhost", "a..b", "exa mple.org", "x" * 300])
async def test_no_domain_name_is_said_so(name: str) -> None:
    report = await check_domain(name, Zone({}))
    assert report.level is Level.ERROR
