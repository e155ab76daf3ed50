"""The receiver behind a load balancer: whose address is the peer's, and who may say so."""

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.raw_message import decode_headers
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from tests.conftest import find_free_port
from tests.fakes.broker import read_topic, settings_of
from tests.integration.test_serve_smtp import MESSAGE, ROOT, Client, Receiver
from tests.wait_for import wait_for

PROXY = "127.0.0.9"
V2 = b"\r\n\r\n\x00\r\nQUIT\n"
ADDRESSES = socket.inet_aton("192.0.2.7") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 40000, 25)
MAPPED = (bytes(10) + b"\xff\xff" + ADDRESSES[:4]) * 2 + ADDRESSES[8:]
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") * 2 + struct.pack("!HH", 40000, 25)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path_factory.mktemp("kafka"), find_free_port(), find_free_port()) as running:
        apply_topics(settings_of(running.bootstrap, tmp_path_factory.mktemp("settings")))
        yield running


@pytest.fixture(scope="module")
def receiver(broker: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    settings = {"proxies": [PROXY], "verdict_timeout": "0s", "connections_per_peer": 3}
    running = Receiver(broker, tmp_path_factory.mktemp("receiver"), settings)
    yield running
    running.stop()


def connect(receiver: Receiver, source: str, *begin: bytes) -> socket.socket:
    """A connection from this address of ours that begins so, in these pieces."""
    opened = socket.create_connection(("127.0.0.1", receiver.port), 20, (source, 0))
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in begin:
        opened.sendall(piece)
    return opened


class Behind(Client):
    """A client of a connection that is there."""

    def __init__(self, receiver: Receiver, opened: socket.socket) -> None:
        self.socket, self.replies = opened, opened.makefile("rb")
        receiver.clients.append(self)


def peer_of(broker: LocalKafka, sender: bytes) -> str | None:
    """The peer of the mail from that sender, as the log will have it."""
    for record in read_topic(broker.bootstrap, "mail.raw"):
        envelope = decode_headers(record.headers())
        if envelope.envelope_from == sender.decode():
            return envelope.peer_ip
    return None


@pytest.mark.parametrize(
    ("name", "pieces", "peer"),
    [
        ("v1", (b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 25\r\n",), "192.0.2.7"),
        ("v1 six", (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n",), "2001:db8::7"),
        ("v1 four in six", (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 40000 25\r\n",), "192.0.2.7"),
        ("v2 four in six", (V2 + b"\x21\x21\x00\x24" + MAPPED,), "192.0.2.7"),
        ("v1 in pieces", (b"PRO", b"XY TCP4 192.0.2.7 192.0", b".2.1 40000 25\r", b"\n"), "192.0.2.7"),
        ("v1 unknown", (b"PROXY UNKNOWN\r\n",), PROXY),
        ("v2", (V2 + b"\x21\x11" + struct.pack("!H", 12) + ADDRESSES,), "192.0.2.7"),
        ("v2 with more", (V2 + b"\x21\x11" + struct.pack("!H", 17) + ADDRESSES + b"\x04\x00\x02xx",), "192.0.2.7"),
        ("v2 six in octets", tuple(bytes([o]) for o in V2 + b"\x21\x21\x00\x24" + V6), "2001:db8::7"),
        ("v2 of its own", (V2 + b"\x20\x00\x00\x00",), PROXY),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_peer_is_whoever_the_proxy_names(
    broker: LocalKafka, receiver: Receiver, name: str, pieces: tuple[bytes, ...], peer: str
) -> None:
    sender = name.replace(" ", "-").encode() + b"@good.test"
    client = Behind(receiver, connect(receiver, PROXY, *pieces))
    assert client.read().startswith(b"220")
    client.begin(sender=sender)
    client.socket.sendall(MESSAGE + b".\r\n")
    assert client.read().startswith(b"250")
    client.close()
    assert wait_for(lambda: peer_of(broker, sender)) and peer_of(broker, sender) == peer


def test_what_comes_with_the_header_is_the_dialogue(receiver: Receiver) -> None:
    opened = connect(receiver, PROXY, b"PROXY TCP4 192.0.2.8 192.0.2.1 1 25\r\nEHLO early.test\r\n")
    client = Behind(receiver, opened)
    assert client.read().startswith(b"220") and client.read().startswith(b"250-")
    client.close()


def test_from_anybody_else_it_is_no_command(broker: LocalKafka, receiver: Receiver) -> None:
    client = Behind(receiver, connect(receiver, "127.0.0.1", b"PROXY TCP4 192.0.2.66 192.0.2.1 1 25\r\n"))
    assert client.read().startswith(b"220") and client.read().startswith(b"500")
    client.begin(sender=b"liar@good.test")
    client.socket.sendall(MESSAGE + b".\r\n")
    assert client.read().startswith(b"250")
    client.close()
    assert wait_for(lambda: peer_of(broker, b"liar@good.test")) and peer_of(broker, b"liar@good.test") == "127.0.0.1"


@pytest.mark.parametrize(
    "begin",
    [
        b"EHLO proxy.test\r\n",
        b"PROXY TCP4 192.0.2.7 192.0.2.1 40000\r\n",
        b"PROXY TCP4 999.0.2.7 192.0.2.1 40000 25\r\n",
        b"PROXY TCP4 " + b"1" * 4000,
        V2 + b"\x21\x11" + struct.pack("!H", 4) + b"abcd",
        V2 + b"\x31\x11" + struct.pack("!H", 12) + ADDRESSES,
        V2 + b"\x21\x11" + struct.pack("!H", 65535) + b"x" * 4000,
        b"",
    ],
    ids=["no header", "short", "no address", "endless", "v2 short", "v3", "v2 endless", "silence"],
)
def test_a_proxy_that_says_something_else_hears_nothing(receiver: Receiver, begin: bytes) -> None:
    opened = connect(receiver, PROXY, begin)
    try:
        assert opened.recv(100) == b""
    except ConnectionResetError:
        pass
    finally:
        opened.close()


def test_limits_are_of_the_peer_and_not_of_the_proxy(receiver: Receiver) -> None:
    def arrive(address: bytes) -> bytes:
        client = Behind(receiver, connect(receiver, PROXY, b"PROXY TCP4 " + address + b" 192.0.2.1 40000 25\r\n"))
        return client.read()[:3]

    assert [arrive(b"192.0.2.70") for _ in range(4)] == [b"220", b"220", b"220", b"421"]
    assert [arrive(b"192.0.2.%d" % number) for number in range(71, 76)] == [b"220"] * 5


def test_what_helm_test_runs_introduces_itself_where_its_network_has_to(broker: LocalKafka, tmp_path: Path) -> None:
    running = Receiver(broker, tmp_path, {"proxies": ["127.0.0.0/8"], "verdict_timeout": "0s"})
    (tmp_path / "token").write_text("none\n")
    environ = {
        "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(running.port), "API": "http://127.0.0.1:1", "SENDER": "helm@good.test",
        "RECIPIENT": "desk@ours.test", "TOKEN_FILE": str(tmp_path / "token"),
    }  # fmt: skip
    command = [sys.executable, "-u", str(ROOT / "helm/mailscope/files/try_mail.py")]
    try:
        with subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as test:
            assert test.stdout is not None and test.stdout.readline() == "sent to desk@ours.test\n"
            test.kill()
        assert (
            wait_for(lambda: peer_of(broker, b"helm@good.test")) and peer_of(broker, b"helm@good.test") == "127.0.0.1"
        )
    finally:
        running.stop()
