"""How a session has to be encrypted, on real sockets with certificates of a test's own authority; and MTA-STS over real HTTPS."""

import asyncio
import gzip
import http.server
import ssl
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from contracts.events import Outcome
from contracts.settings import Delivery
from runtime.fetch_policy import policy_fetcher
from sinks.delivery.attempt_smtp import not_opened
from sinks.delivery.open_session import Identity, NotOpened, open_session
from sinks.delivery.tls_policy import Encryption, TlsPolicies
from tests.conftest import find_free_port
from tests.fakes.authority import Authority
from tests.fakes.zone import Zone

HOST = "mx.x.test"
NAMES = [HOST, "mta-sts.x.test"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, NAMES)


@pytest.fixture
def server(authority: Authority) -> Iterator[int]:
    """A server that offers STARTTLS and a log-in; its port."""
    yield from serve(authority.context)


@pytest.fixture
def plain_server() -> Iterator[int]:
    """One that offers neither."""
    yield from serve(None)


def serve(tls: ssl.SSLContext | None) -> Iterator[int]:
    def knows(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"us", b"secret"), handled=False)

    port = find_free_port()
    options: dict[str, Any] = {"tls_context": tls, "authenticator": knows, "auth_require_tls": True}
    controller = Controller(object(), "127.0.0.1", port, **options)
    controller.start()
    yield port
    controller.stop()


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """What was hung up on is closed when its loop has had a moment."""
    yield
    await asyncio.sleep(0.1)


async def opened(port: int, encryption: Encryption, host: str = HOST, **identity: Any) -> str:
    """The TLS of the session; NotOpened."""
    session = await open_session(host, "127.0.0.1", port, Identity("mx.ours.test", 5.0, None, **identity), encryption)
    session.close()
    return session.tls


async def test_encryption_is_used_where_it_is_offered(server: int, plain_server: int) -> None:
    assert (await opened(server, Encryption.OPPORTUNISTIC)).startswith("TLSv1.3 ")
    assert await opened(plain_server, Encryption.OPPORTUNISTIC) == ""


@pytest.mark.parametrize("encryption", [Encryption.REQUIRED, Encryption.VERIFIED])
async def test_what_must_be_encrypted_never_goes_in_the_clear(plain_server: int, encryption: Encryption) -> None:
    with pytest.raises(NotOpened) as caught:
        await opened(plain_server, encryption)
    assert caught.value.step == "STARTTLS"
    (attempt,) = not_opened(caught.value, ("a@x.test",), 1, HOST, "127.0.0.1", plain_server)
    assert attempt.outcome is Outcome.TEMPORARY


async def test_verified_means_a_known_authority_and_the_right_name(server: int, authority: Authority) -> None:
    assert (await opened(server, Encryption.VERIFIED, ca_file=authority.ca_file)).endswith(" verified")
    assert not (await opened(server, Encryption.REQUIRED)).endswith(" verified")
    for host, ca_file in (("other.x.test", authority.ca_file), (HOST, None)):
        with pytest.raises(NotOpened) as caught:
            await opened(server, Encryption.VERIFIED, host=host, ca_file=ca_file)
        assert caught.value.step == "STARTTLS" and "certificate" in caught.value.text.lower()


async def test_a_password_is_sent_encrypted_only_and_a_wrong_one_loses_no_mail(server: int, plain_server: int) -> None:
    assert await opened(server, Encryption.OPPORTUNISTIC, login=("us", "secret"))
    with pytest.raises(NotOpened) as caught:
        await opened(plain_server, Encryption.OPPORTUNISTIC, login=("us", "secret"))
    assert caught.value.step == "STARTTLS"
    with pytest.raises(NotOpened) as caught:
        await opened(server, Encryption.OPPORTUNISTIC, login=("us", "wrong"))
    assert (caught.value.step, caught.value.code) == ("AUTH", 535)
    (attempt,) = not_opened(caught.value, ("a@x.test",), 1, HOST, "127.0.0.1", server)
    assert attempt.outcome is Outcome.TEMPORARY


class PolicyServer:
    """HTTPS on port 443 of an address of its own; `text` is the policy, "" none."""

    def __init__(self, authority: Authority) -> None:
        self.packed = b""
        self.text, self.asked = "", 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                found = self.path == "/.well-known/mta-sts.txt" and outer.text and self.headers["Host"] == NAMES[1]
                self.send_response(200 if found or outer.packed else 404)
                if outer.packed:
                    self.send_header("Content-Encoding", "gzip, gzip")
                self.end_headers()
                self.wfile.write(outer.packed or (outer.text.encode() if found else b""))

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.4.1", 443), Handler)
        self._server.socket = authority.context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def policy_server(authority: Authority) -> Iterator[PolicyServer]:
    try:
        running = PolicyServer(authority)
    except OSError as error:
        pytest.skip(f"port 443 cannot be had: {error}")
    yield running
    running.stop()


def policies(authority: Authority, zone: Zone, **settings: Any) -> TlsPolicies:
    trust = ssl.create_default_context(cafile=authority.ca_file)
    fetch = policy_fetcher(zone, allow_private=True, trust=trust)
    return TlsPolicies(Delivery.model_validate(settings), zone, fetch)


def zone_with(id: str) -> Zone:
    return Zone({"_mta-sts.x.test": {"TXT": [f"v=STSv1; id={id}"]}, "mta-sts.x.test": {"A": ["127.0.4.1"]}})


async def test_a_domain_can_demand_verified_encryption_and_name_its_servers(
    authority: Authority, policy_server: PolicyServer
) -> None:
    policy_server.text = "version: STSv1\nmode: enforce\nmx: *.x.test\nmax_age: 86400\n"
    known = policies(authority, zone_with("1"))
    found = await asyncio.gather(*(known.of("x.test") for _ in range(20)))
    assert policy_server.asked == 1
    assert all(one.encryption is Encryption.VERIFIED for one in found)
    assert found[0].allows("mx.x.test") and not found[0].allows("mx.evil.test")
    assert (await known.of("other.test")).encryption is Encryption.OPPORTUNISTIC


@pytest.mark.parametrize(
    ("text", "settings", "wanted"),
    [
        ("version: STSv1\nmode: testing\nmx: mx.x.test\nmax_age: 86400\n", {}, "opportunistic"),
        ("", {}, "opportunistic"),
        ("rubbish", {}, "opportunistic"),
        ("version: STSv1\nmode: enforce\nmx: mx.x.test\nmax_age: 86400\n", {"mta_sts": False}, "opportunistic"),
        (
            "version: STSv1\nmode: enforce\nmx: a\nmax_age: 9\n",
            {"destinations": {"x.test": {"tls": "required"}}},
            "required",
        ),
    ],
)
async def test_what_holds_where_there_is_no_policy_to_enforce(
    authority: Authority, policy_server: PolicyServer, text: str, settings: dict[str, Any], wanted: str
) -> None:
    policy_server.text = text
    policy = await policies(authority, zone_with("1"), **settings).of("x.test")
    assert policy.encryption == wanted and policy.allows("mx.x.test")


async def test_a_compressed_policy_is_not_unpacked(authority: Authority, policy_server: PolicyServer) -> None:
    """Compressed twice, some hundred octets of a stranger's stand for 100 MB."""
    policy_server.packed = gzip.compress(gzip.compress(b" " * 100_000_000))
    tracemalloc.start()
    try:
        assert (await policies(authority, zone_with("1")).of("x.test")).encryption is Encryption.OPPORTUNISTIC
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


async def test_a_policy_that_was_fetched_holds_when_it_can_be_had_no_more(
    authority: Authority, policy_server: PolicyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can suppress DNS or HTTPS for a while does not turn encryption off."""
    monkeypatch.setattr("sinks.delivery.tls_policy.LOOK_AGAIN", 0.0)
    policy_server.text = "version: STSv1\nmode: enforce\nmx: mx.x.test\nmax_age: 86400\n"
    zone = zone_with("1")
    known = policies(authority, zone)
    await known.of("x.test")
    policy_server.text = ""
    for records in ({"_mta-sts.x.test": {"TXT": ["v=STSv1; id=2"]}, "mta-sts.x.test": {"A": ["127.0.4.1"]}}, {}):
        known._resolver = Zone(records)
        assert (await known.of("x.test")).encryption is Encryption.VERIFIED
