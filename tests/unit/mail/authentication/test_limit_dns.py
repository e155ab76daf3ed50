"""One mail's budget of look-ups, and the lists of name servers."""

import asyncio

import pytest

from contracts.dns_answers import DnsAnswer, DnsStatus
from mail.authentication.limit_dns import DnsBudget
from runtime.nameservers import parse_nameservers
from tests.fakes.zone import Zone


async def test_questions_beyond_the_budget_are_not_asked() -> None:
    zone = Zone({})
    budget = DnsBudget(zone, max_queries=3, max_seconds=5)
    statuses = [(await budget.query(f"h{index}.example", "A")).status for index in range(5)]
    assert statuses == ["nxdomain"] * 3 + ["budget"] * 2
    assert len(zone.asked) == 3


async def test_question_asked_twice_counts_once() -> None:
    zone = Zone({})
    budget = DnsBudget(zone, max_queries=1, max_seconds=5)
    for _ in range(4):
        assert (await budget.query("a.example", "A")).status is DnsStatus.NXDOMAIN
    assert len(zone.asked) == 1


async def test_what_is_known_costs_nothing() -> None:
    """Neither what the resolver remembers, nor what another check of the mail has asked."""

    class Remembering(Zone):
        def cached(self, name: str, rtype: str) -> DnsAnswer | None:
            return DnsAnswer(name, rtype, DnsStatus.NODATA) if name.startswith("known") else None

    zone, asked = Remembering({}), {}
    first = DnsBudget(zone, 1, 5, asked)
    assert (await first.query("a.example", "A")).status is DnsStatus.NXDOMAIN
    second = DnsBudget(zone, 0, 5, asked)
    assert (await second.query("a.example", "A")).status is DnsStatus.NXDOMAIN
    assert (await second.query("known.example", "A")).status is DnsStatus.NODATA
    assert (await second.query("b.example", "A")).status is DnsStatus.BUDGET
    assert len(zone.asked) == 1


async def test_a_check_whose_time_is_up_takes_none_of_anothers() -> None:
    class Late:
        async def query(self, name: str, rtype: str) -> DnsAnswer:
            await asyncio.sleep(0.05)
            return DnsAnswer(name, rtype, DnsStatus.OK)

    asked: dict[tuple[str, str], DnsAnswer] = {}
    assert (await DnsBudget(Late(), 1, 0.001, asked).query("a.example", "A")).status is DnsStatus.TIMEOUT
    assert (await DnsBudget(Late(), 1, 30, asked).query("a.example", "A")).status is DnsStatus.OK


async def test_time_that_is_up_is_a_temporary_failure() -> None:
    class Slow:
        async def query(self, name: str, rtype: str) -> DnsAnswer:
            await asyncio.sleep(30)
            return DnsAnswer(name, rtype, DnsStatus.OK)

    budget = DnsBudget(Slow(), max_queries=10, max_seconds=0.05)
    answer = await budget.query("a.example", "A")
    assert (answer.status, answer.failed) == (DnsStatus.TIMEOUT, True)
    assert (await budget.query("b.example", "A")).status is DnsStatus.TIMEOUT


@pytest.mark.parametrize(
    ("entry", "server"),
    [
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("[::1]:5353", ("::1", 5353)),
        ("[::1]", ("::1", 53)),
        ("2001:db8::1", ("2001:db8::1", 53)),
    ],
)
def test_name_servers_are_read(entry: str, server: tuple[str, int]) -> None:
    assert parse_nameservers([entry]) == [server]


@pytest.mark.parametrize("entry", ["127.0.0.1:", "127.0.0.1:dns", "127.0.0.1:70000", "[::1]:x"])
def test_bad_name_servers_are_named(entry: str) -> None:
    with pytest.raises(ValueError, match="name server"):
        parse_nameservers([entry])
