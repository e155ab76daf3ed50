"""DANE (RFC 7672) on real sockets: what signed DNS demands of a server's certificate, from a real DNS server."""

from collections.abc import AsyncIterator, Iterator
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate, load_pem_x509_certificate, load_pem_x509_certificates

from runtime.resolve_dns import DnsResolver
from sinks.delivery.attempt_smtp import SmtpTransaction
from sinks.delivery.dane import Dane, DaneFailed, Tlsa
from sinks.delivery.find_servers import NoServer, Server, find_servers
from sinks.delivery.open_session import Identity, to_wire
from sinks.delivery.tls_policy import Encryption
from sinks.delivery.try_servers import SmtpClient, Way
from tests.fakes.authority import Authority
from tests.fakes.zone_server import ZoneServer
from tests.integration.test_tls_policy import HOST, serve


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, [HOST])


@pytest.fixture
def server(authority: Authority) -> Iterator[int]:
    yield from serve(authority.context)


@pytest.fixture
def plain_server() -> Iterator[int]:
    yield from serve(None)


class Domain:
    """x.test, whose only server is at a port of this machine."""

    def __init__(self, zone: ZoneServer) -> None:
        self.zone = zone

    def publish(self, port: int, *records: str) -> None:
        self.zone.records[f"_{port}._tcp.{HOST}"] = {"TLSA": list(records)}

    async def servers(self, port: int) -> list[Server]:
        resolver = DnsResolver([self.zone.address], timeout=1.0)
        return await find_servers("x.test", resolver, port, allow_private=True, dane=True)

    async def deliver(self, port: int, way: Way = Way()) -> tuple[str, str, str]:  # noqa: B008
        """(outcome, step, TLS or what was said) of one attempt."""
        client = SmtpClient(Identity("mx.ours.test", 5.0, None), 20.0)

        async def content() -> bytes:
            return to_wire(b"Subject: x\r\n\r\nhi\r\n")

        transaction = SmtpTransaction("a@ours.test", ("b@x.test",), 100, content, False)
        try:
            (done,) = await client.try_servers(await self.servers(port), transaction, 1, lambda: None, way)
        finally:
            client.sessions.close()
        return done.outcome, done.command, done.tls or done.text


@pytest.fixture
async def domain() -> AsyncIterator[Domain]:
    zone = ZoneServer({"x.test": {"MX": [f"10 {HOST}"]}, HOST: {"A": ["127.0.0.1"]}})
    zone.signed = True
    yield Domain(zone)
    zone.stop()


def tlsa(usage: int, selector: int, matching: int, certificate: Certificate) -> str:
    octets = (
        certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if selector
        else certificate.public_bytes(Encoding.DER)
    )
    digest: Any = {0: lambda: octets, 1: sha256(octets).digest, 2: sha512(octets).digest}[matching]
    return f"{usage} {selector} {matching} {digest().hex()}"


def own(authority: Authority) -> Certificate:
    _, begin, rest = authority.chain.read_bytes().partition(b"-----BEGIN CERTIFICATE")  # the key stands before it
    return load_pem_x509_certificates(begin + rest)[0]


def ca(authority: Authority) -> Certificate:
    return load_pem_x509_certificate(authority.ca_file.read_bytes())


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
async def test_the_certificate_that_is_published_is_taken(
    domain: Domain, server: int, authority: Authority, selector: int, matching: int
) -> None:
    for usage, certificate in ((3, own(authority)), (2, ca(authority))):
        domain.publish(server, tlsa(3, 1, 1, ca(authority)), tlsa(usage, selector, matching, certificate))
        outcome, step, tls = await domain.deliver(server)
        assert (outcome, step) == ("accepted", "DATA") and tls.endswith(" verified"), tls


async def test_any_other_certificate_gets_no_mail(
    domain: Domain, server: int, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other", [HOST])
    for record in (
        tlsa(3, 1, 1, own(other)),
        tlsa(2, 0, 1, ca(other)),
        tlsa(3, 1, 1, ca(authority)),
        tlsa(2, 1, 1, own(authority)),
    ):
        domain.publish(server, record)
        outcome, step, said = await domain.deliver(server)
        assert (outcome, step) == ("temporary", "STARTTLS") and "TLSA" in said, record


async def test_an_authority_does_not_vouch_for_another_name(domain: Domain, tmp_path: Path) -> None:
    named = Authority(tmp_path, ["mx.other.test"])
    for port in serve(named.context):
        domain.publish(port, tlsa(2, 0, 1, ca(named)))
        assert (await domain.deliver(port))[:2] == ("temporary", "STARTTLS")
        domain.publish(port, tlsa(3, 1, 1, own(named)))  # of the server's own certificate the name does not matter
        assert (await domain.deliver(port))[0] == "accepted"


async def test_a_certificate_signed_by_one_that_is_no_authority_is_none(domain: Domain, tmp_path: Path) -> None:
    """Anybody may have a certificate of a well-known authority, for a name of their own."""
    named = Authority(tmp_path, ["evil.test"])
    for port in serve(named.misused(tmp_path, [HOST])):
        domain.publish(port, tlsa(2, 0, 1, ca(named)))
        assert (await domain.deliver(port))[:2] == ("temporary", "STARTTLS")


async def test_a_server_without_tls_gets_no_mail_in_the_clear(
    domain: Domain, plain_server: int, authority: Authority
) -> None:
    for record in (tlsa(3, 1, 1, own(authority)), tlsa(1, 1, 1, own(authority)), "9 9 9 00"):
        domain.publish(plain_server, record)
        assert (await domain.deliver(plain_server))[:2] == ("temporary", "STARTTLS"), record


async def test_records_of_no_use_ask_for_encryption_alone(domain: Domain, server: int, authority: Authority) -> None:
    domain.publish(server, tlsa(1, 1, 1, ca(authority)), tlsa(0, 0, 1, ca(authority)))
    outcome, _, tls = await domain.deliver(server)
    assert outcome == "accepted" and tls.startswith("TLSv1.3 ") and not tls.endswith(" verified")


async def test_what_nobody_has_verified_says_nothing(
    domain: Domain, server: int, plain_server: int, authority: Authority
) -> None:
    domain.zone.signed = False
    domain.publish(server, tlsa(3, 1, 1, ca(authority)))
    domain.publish(plain_server, tlsa(3, 1, 1, ca(authority)))
    assert (await domain.deliver(server))[0] == (await domain.deliver(plain_server))[0] == "accepted"


async def test_without_records_everything_is_as_ever(domain: Domain, server: int, plain_server: int) -> None:
    assert (await domain.deliver(server))[0] == (await domain.deliver(plain_server))[0] == "accepted"


async def test_our_own_setting_comes_first(domain: Domain, plain_server: int, authority: Authority) -> None:
    domain.publish(plain_server, tlsa(3, 1, 1, own(authority)))
    assert (await domain.deliver(plain_server, Way(Encryption.OPPORTUNISTIC, dane=False)))[0] == "accepted"


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
async def test_where_dns_does_not_say_the_server_is_not_asked(domain: Domain, server: int, failure: str) -> None:
    """Whoever can suppress an answer does not turn encryption off (RFC 7672 section 2.2)."""
    domain.zone.records[f"_{server}._tcp.{HOST}"] = {"TLSA": failure}
    with pytest.raises(NoServer) as caught:
        await domain.servers(server)
    assert not caught.value.permanent and "TLSA" in caught.value.text


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
async def test_half_an_address_is_none(domain: Domain, server: int, authority: Authority, failure: str) -> None:
    """Whoever suppresses the answer about AAAA does not turn encryption off either."""
    domain.publish(server, tlsa(3, 1, 1, own(authority)))
    domain.zone.records[HOST]["AAAA"] = failure
    with pytest.raises(NoServer) as caught:
        await domain.servers(server)
    assert not caught.value.permanent
    domain.zone.signed = False  # where nothing is signed, an address is an address
    assert len(await domain.servers(server)) == 1


def test_without_usable_records_what_mta_sts_demands_stays() -> None:
    host = Server(HOST, ("127.0.0.1",), 25, Dane(()))
    assert Way(Encryption.VERIFIED).to(host) is Encryption.VERIFIED
    assert Way(Encryption.OPPORTUNISTIC).to(host) is Encryption.DANE
    assert Way(Encryption.OPPORTUNISTIC, dane=False).to(host) is Encryption.OPPORTUNISTIC


def test_a_certificate_that_cannot_be_read_is_none_and_hides_no_other(authority: Authority) -> None:
    octets = own(authority).public_bytes(Encoding.DER)
    strange = (
        ca(authority)
        .public_bytes(Encoding.DER)
        .replace(bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a811ccf5501822d"))
    )
    by_key = Tlsa(
        3,
        1,
        1,
        sha256(own(authority).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest(),
    )
    Dane((Tlsa(2, 1, 1, b"x"), by_key)).verify([octets, strange], HOST)
    with pytest.raises(DaneFailed):
        Dane((Tlsa(2, 1, 1, b"x"),)).verify([octets, strange], HOST)


async def test_an_authority_may_vouch_for_the_domain_that_the_mail_is_for(domain: Domain, tmp_path: Path) -> None:
    named = Authority(tmp_path, ["x.test"])
    for port in serve(named.context):
        domain.publish(port, tlsa(2, 0, 1, ca(named)))
        assert (await domain.deliver(port))[0] == "accepted"
