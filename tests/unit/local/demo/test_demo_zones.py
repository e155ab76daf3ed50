import random

import dkim
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.zone
import pytest

from local.demo.cast import DOMAINS
from local.demo.compose_mail import Writer
from local.demo.config import DemoPorts, prepare, read_keys
from local.demo.dns_zones import zones
from local.demo.serve_dns import Zones, answer_wire


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("demo")
    prepare(folder, DemoPorts())
    return read_keys(folder)


@pytest.fixture(scope="module")
def names(keys: dict[str, bytes]) -> Zones:
    return Zones(zones(keys))


def ask(names: Zones, name: str, kind: str) -> dns.message.Message:
    return names.answer(dns.message.make_query(name, kind))


def texts(names: Zones, name: str) -> list[str]:
    return [b"".join(record.strings).decode() for rrset in ask(names, name, "TXT").answer for record in rrset]


def test_every_domain_says_who_may_send_and_where_mail_goes(names: Zones) -> None:
    for domain in DOMAINS:
        assert texts(names, domain.name) == [f"v=spf1 ip4:{domain.sends_from} {domain.spf_all}"]
        assert texts(names, f"_dmarc.{domain.name}") == [domain.dmarc]
        exchange = ask(names, domain.name, "MX").answer[0][0].exchange
        assert ask(names, exchange.to_text(), "A").answer[0][0].address == domain.receives_at


def test_the_bank_asks_for_rejection(names: Zones) -> None:
    assert texts(names, "_dmarc.bank.example") == ["v=DMARC1; p=reject"]


def test_hosts_have_the_same_name_in_both_directions(names: Zones) -> None:
    for domain in DOMAINS:
        a, b, c, d = domain.sends_from.split(".")
        host = ask(names, f"{d}.{c}.{b}.{a}.in-addr.arpa", "PTR").answer[0][0].target.to_text()
        assert ask(names, host, "A").answer[0][0].address == domain.sends_from


def test_an_unknown_name_and_an_absent_record_differ(names: Zones) -> None:
    assert ask(names, "nowhere.example", "MX").rcode() == dns.rcode.NXDOMAIN
    assert ask(names, "nobody.acme.example", "A").rcode() == dns.rcode.NXDOMAIN
    absent = ask(names, "acme.example", "AAAA")
    assert absent.rcode() == dns.rcode.NOERROR and not absent.answer and absent.authority
    assert (
        ask(names, "_domainkey.acme.example", "TXT").rcode() == dns.rcode.NOERROR
    )  # a name with names below it exists


def test_an_answer_too_large_for_udp_sends_the_client_to_tcp() -> None:
    text = "@ SOA ns. host. 1 1 1 1 1\n@ NS ns.\nbig TXT " + " ".join([f'"{"x" * 250}"'] * 4)
    large = Zones([dns.zone.from_text("$TTL 60\n" + text, origin="big.example", relativize=False)])
    query = dns.message.make_query("big.big.example", "TXT", use_edns=False).to_wire()
    over_udp = dns.message.from_wire(answer_wire(large, query, 512) or b"")
    assert over_udp.flags & dns.flags.TC and not over_udp.answer
    over_tcp = dns.message.from_wire(answer_wire(large, query) or b"")
    assert not over_tcp.flags & dns.flags.TC and len(over_tcp.answer[0][0].strings) == 4
    with_edns = dns.message.make_query("big.big.example", "TXT", use_edns=0, payload=1232).to_wire()
    assert dns.message.from_wire(answer_wire(large, with_edns, 512) or b"").answer


def test_rubbish_gets_no_answer(names: Zones) -> None:
    assert answer_wire(names, b"\x00" * 5) is None


def test_mail_of_every_kind_verifies_by_the_published_keys_unless_it_is_meant_not_to(
    keys: dict[str, bytes], names: Zones
) -> None:
    def lookup(name: bytes, timeout: int = 5) -> bytes | None:
        found = texts(names, name.decode())
        return found[0].encode() if found else None

    signed = {
        s.kind: dkim.verify(s.content, dnsfunc=lookup) for s in (k() for k in Writer(keys, random.Random(7)).kinds)
    }
    assert {kind for kind, good in signed.items() if not good} == {"spoof", "hijack", "footer"}
