"""Which servers take mail for a domain, and which addresses are never connected to."""

import pytest

from contracts.dns_answers import DnsAnswer, DnsStatus
from sinks.delivery.find_servers import NoServer, find_servers


class Names:
    """A resolver that knows a few records."""

    def __init__(self, records: dict[tuple[str, str], list[str] | DnsStatus]) -> None:
        self._records = records

    async def query(self, name: str, rtype: str) -> DnsAnswer:
        found = self._records.get((name, rtype))
        if isinstance(found, DnsStatus):
            return DnsAnswer(name, rtype, found)
        if found is not None:
            return DnsAnswer(name, rtype, DnsStatus.OK, tuple(found))
        known = any(known == name for known, _ in self._records)
        return DnsAnswer(name, rtype, DnsStatus.NODATA if known else DnsStatus.NXDOMAIN)


async def test_servers_come_by_preference() -> None:
    names = Names(
        {("x.test", "MX"): ["20 b.test", "10 a.test"], ("a.test", "A"): ["8.8.8.1"], ("b.test", "A"): ["8.8.8.2"]}
    )
    found = await find_servers("x.test", names, 25, allow_private=False)
    assert [(server.host, server.addresses) for server in found] == [("a.test", ("8.8.8.1",)), ("b.test", ("8.8.8.2",))]


async def test_without_mx_the_domain_itself_takes_mail() -> None:
    (server,) = await find_servers("x.test", Names({("x.test", "A"): ["8.8.8.1"]}), 25, allow_private=False)
    assert server.host == "x.test"


@pytest.mark.parametrize(
    ("records", "permanent", "says"),
    [
        ({("x.test", "MX"): ["0 "]}, True, "null MX"),
        ({}, True, "does not exist"),
        ({("x.test", "MX"): DnsStatus.SERVFAIL}, False, "could not be read"),
        ({("x.test", "MX"): ["10 a.test"], ("a.test", "A"): DnsStatus.TIMEOUT}, False, "could not be read"),
        ({("x.test", "MX"): ["10 a.test"], ("a.test", "A"): ["10.0.0.1"]}, True, "private address"),
        ({("x.test", "MX"): ["10 a.test"], ("a.test", "TXT"): ["x"]}, True, "no address"),
    ],
)
async def test_no_server_says_why_and_whether_for_good(records: dict, permanent: bool, says: str) -> None:
    with pytest.raises(NoServer, match=says) as caught:
        await find_servers("x.test", Names(records), 25, allow_private=False)
    assert caught.value.permanent is permanent


@pytest.mark.parametrize("inner", ["10.0.0.1", "::ffff:0:7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::"])
async def test_inner_addresses_are_no_servers(inner: str) -> None:
    kind = "AAAA" if ":" in inner else "A"
    records = {("x.test", "MX"): ["10 a.test"], ("a.test", kind): [inner]}
    with pytest.raises(NoServer, match="private address") as caught:
        await find_servers("x.test", Names(records), 25, allow_private=False)
    assert caught.value.private
    records["a.test", "A"] = ["8.8.8.8", "10.0.0.1"]
    (server,) = await find_servers("x.test", Names(records), 25, allow_private=False)
    assert server.addresses == ("8.8.8.8",)


async def test_equals_share_the_load_and_at_most_five_are_tried() -> None:
    hosts = [f"mx{number}.test" for number in range(9)]
    records = {("x.test", "MX"): [f"10 {host}" for host in hosts], **{(host, "A"): ["8.8.8.1"] for host in hosts}}
    first = set()
    for _ in range(60):
        found = await find_servers("x.test", Names(records), 25, allow_private=False)
        assert len(found) == 5
        first.add(found[0].host)
    assert len(first) > 3


async def test_a_server_with_one_inner_address_is_reached_by_its_outer_one_only() -> None:
    names = Names(
        {("x.test", "MX"): ["10 a.test"], ("a.test", "A"): ["10.0.0.1", "8.8.8.1"], ("a.test", "AAAA"): ["::1"]}
    )
    (server,) = await find_servers("x.test", names, 25, allow_private=False)
    assert server.addresses == ("8.8.8.1",)
    (server,) = await find_servers("x.test", names, 25, allow_private=True)
    assert server.addresses == ("10.0.0.1", "8.8.8.1", "::1")
