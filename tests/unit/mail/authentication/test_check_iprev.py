"""The peer's reverse name, confirmed forward."""

from typing import Any

import pytest

from mail.authentication.check_iprev import check_iprev
from tests.fakes.zone import Zone

REVERSE = "1.2.0.192.in-addr.arpa"


@pytest.mark.parametrize(
    ("records", "word", "reason"),
    [
        ({REVERSE: {"PTR": ["a.example"]}, "a.example": {"A": ["192.0.2.1"]}}, "pass", ""),
        ({REVERSE: {"PTR": ["x.example", "a.example"]}, "a.example": {"A": ["192.0.2.1"]}}, "pass", ""),
        ({REVERSE: {"PTR": ["a.example"]}, "a.example": {"A": ["192.0.2.2"]}}, "fail", "iprev_no_match"),
        ({REVERSE: {"PTR": ["a.example"]}}, "fail", "iprev_no_match"),
        ({REVERSE: {"PTR": ["a.example"]}, "a.example": {"A": "SERVFAIL"}}, "temperror", "dns_temperror"),
        ({REVERSE: {"PTR": "TIMEOUT"}}, "temperror", "dns_temperror"),
        ({}, "permerror", "iprev_no_name"),
    ],
)
async def test_reverse_names_are_judged(records: dict[str, Any], word: str, reason: str) -> None:
    found = await check_iprev("192.0.2.1", Zone(records))
    assert (found.result, found.reason) == (word, reason)


async def test_ipv6_is_confirmed_by_aaaa() -> None:
    reverse = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
    zone = Zone({reverse: {"PTR": ["a.example"]}, "a.example": {"AAAA": ["2001:DB8:0::1"]}})
    assert (await check_iprev("2001:db8::1", zone)).result == "pass"


async def test_no_more_than_ten_names_are_followed() -> None:
    zone = Zone({REVERSE: {"PTR": [f"h{index}.example" for index in range(100)]}})
    assert (await check_iprev("192.0.2.1", zone)).result == "fail"
    assert len(zone.asked) == 11


async def test_no_address_is_permerror() -> None:
    assert (await check_iprev("local", Zone({}))).result == "permerror"
