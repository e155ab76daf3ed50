"""The resolver against a real DNS server over UDP and TCP."""

import asyncio
from collections.abc import Iterator

import pytest

from contracts.dns_answers import DnsStatus
from runtime.nameservers import parse_nameservers
from runtime.resolve_dns import DnsResolver
from tests.fakes.zone_server import ZoneServer

RECORDS = {
    "example.org": {
        "TXT": ["v=spf1 -all", "x" * 700],
        "MX": ["20 b.example.org", "10 a.example.org"],
        "A": ["192.0.2.1", "192.0.2.2"],
        "AAAA": ["2001:db8::1"],
    },
    "null.example": {"MX": ["0 ."]},
    "alias.example": {"CNAME": "second.example"},
    "second.example": {"CNAME": "example.org"},
    "loop.example": {"CNAME": "loop.example"},
    "large.example": {"TXT": ["y" * 4000]},
    "broken.example": {"TXT": "SERVFAIL"},
    "silent.example": {"TXT": "TIMEOUT"},
    "binary.example": {"TXT": [b"\xff\x00\xfe"]},
    "1.2.0.192.in-addr.arpa": {"PTR": ["Mx.Example.Org"]},
}


@pytest.fixture(scope="module")
def running() -> Iterator[ZoneServer]:
    server = ZoneServer(RECORDS)
    yield server
    server.stop()


@pytest.fixture
def server(running: ZoneServer) -> ZoneServer:
    running.asked.clear()
    return running


@pytest.fixture
def resolver(server: ZoneServer) -> DnsResolver:
    return DnsResolver([server.address], timeout=1.0)


async def test_every_type_is_read(resolver: DnsResolver) -> None:
    assert sorted((await resolver.query("Example.ORG.", "TXT")).texts()) == [b"v=spf1 -all", b"x" * 700]
    assert (await resolver.query("example.org", "MX")).exchanges() == [(10, "a.example.org"), (20, "b.example.org")]
    assert sorted((await resolver.query("example.org", "A")).values()) == ["192.0.2.1", "192.0.2.2"]
    assert (await resolver.query("example.org", "AAAA")).values() == ["2001:db8::1"]
    assert (await resolver.query("1.2.0.192.in-addr.arpa", "PTR")).values() == ["mx.example.org"]
    assert (await resolver.query("alias.example", "CNAME")).values() == ["second.example"]
    assert (await resolver.query("null.example", "MX")).exchanges() == [(0, "")]
    assert (await resolver.query("binary.example", "TXT")).texts() == [b"\xff\x00\xfe"]


async def test_cname_chain_is_followed_and_a_loop_is_not(resolver: DnsResolver) -> None:
    assert sorted((await resolver.query("alias.example", "A")).values()) == ["192.0.2.1", "192.0.2.2"]
    assert (await resolver.query("loop.example", "A")).failed


async def test_answer_too_large_for_udp_comes_whole(resolver: DnsResolver) -> None:
    assert (await resolver.query("large.example", "TXT")).texts() == [b"y" * 4000]


async def test_ways_to_fail_are_told_apart(resolver: DnsResolver) -> None:
    assert (await resolver.query("missing.example", "A")).status is DnsStatus.NXDOMAIN
    assert (await resolver.query("null.example", "A")).status is DnsStatus.NODATA
    assert (await resolver.query("broken.example", "TXT")).status is DnsStatus.SERVFAIL
    assert (await resolver.query("silent.example", "TXT")).status is DnsStatus.TIMEOUT


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", "x" * 64 + ".example", "x." * 200, "\x00", "é" * 80, "a\\", "a b", "\ud800"]
)
async def test_odd_names_raise_nothing(resolver: DnsResolver, name: str) -> None:
    for rtype in ("TXT", "A", "NOSUCHTYPE"):
        await resolver.query(name, rtype)


async def test_questions_at_once_share_one_look_up(server: ZoneServer, resolver: DnsResolver) -> None:
    answers = await asyncio.gather(*(resolver.query("example.org", "A") for _ in range(50)))
    assert len({answer.records for answer in answers}) == 1
    assert server.asked.count(("example.org", "A")) == 1


async def test_answers_and_failures_are_remembered(server: ZoneServer, resolver: DnsResolver) -> None:
    for name in ("example.org", "missing.example", "broken.example"):
        for _ in range(3):
            await resolver.query(name, "TXT")
        assert server.asked.count((name, "TXT")) == 1


async def test_waiter_that_gives_up_does_not_fail_the_others(resolver: DnsResolver) -> None:
    first = asyncio.create_task(resolver.query("example.org", "A"))
    second = asyncio.create_task(resolver.query("example.org", "A"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).status is DnsStatus.OK


async def test_cache_stays_small(server: ZoneServer) -> None:
    resolver = DnsResolver([server.address], cache_size=2)
    for name in ("a.example", "b.example", "c.example", "a.example"):
        await resolver.query(name, "A")
    assert server.asked.count(("a.example", "A")) == 2


async def test_every_look_up_is_observed(server: ZoneServer) -> None:
    seen: list[tuple[str, str, bool]] = []
    resolver = DnsResolver(
        [server.address], observe=lambda rtype, status, _, cached: seen.append((rtype, status, cached))
    )
    await resolver.query("example.org", "A")
    await resolver.query("example.org", "A")
    assert seen == [("A", "ok", False), ("A", "ok", True)]


def test_resolver_outlives_an_event_loop(resolver: DnsResolver) -> None:
    for name in ("example.org", "null.example"):
        assert asyncio.run(resolver.query(name, "MX")).status is DnsStatus.OK


def test_a_name_server_may_be_a_host_that_the_system_knows() -> None:
    assert parse_nameservers(["localhost:5353"])[0] in (("127.0.0.1", 5353), ("::1", 5353))


@pytest.mark.parametrize("entry", ["no host", ""])
def test_a_name_server_that_the_system_does_not_know_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="neither an address nor a known host"):
        parse_nameservers([entry])
