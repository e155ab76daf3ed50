"""The receiver as a process with a real broker, and no processors: what it says when they are silent and when it must stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contracts.raw_message import WITH_MESSAGE, RawType, decode_headers
from local.run_kafka import LocalKafka
from runtime.apply_topics import apply_topics
from tests.conftest import find_free_port
from tests.fakes.broker import read_topic, settings_of
from tests.wait_for import wait_for

ROOT = Path(__file__).resolve().parents[2]
MESSAGE = b"From: anna@good.test\r\nSubject: x\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    with LocalKafka(tmp_path_factory.mktemp("kafka"), find_free_port(), find_free_port()) as running:
        apply_topics(settings_of(running.bootstrap, tmp_path_factory.mktemp("settings")))
        yield running


class Receiver:
    """A receiver process for desk@ours.test."""

    def __init__(self, broker: LocalKafka, folder: Path, smtp: dict[str, Any]) -> None:
        self.port = find_free_port()
        self.clients: list[Client] = []
        config = folder / "mailscope.yaml"
        settings = {
            "authserv_id": "mx.ours.test",
            "data_dir": str(folder / "data"),
            "kafka": {"bootstrap": broker.bootstrap},
            "smtp": {"port": self.port, **smtp},
            "metrics": {"port": find_free_port()},
            "inbound": {
                "domains": {"ours.test": {}},
                "routes": [{"match": {"to": "*@ours.test"}, "drop": "not read here"}],
            },
        }
        config.write_text(json.dumps(settings))
        self.log = folder / "log"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MAILSCOPE_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mailscope", "ingest", "smtp"],
                cwd=ROOT,
                env={**environ, "MAILSCOPE_CONFIG": str(config)},
                stdout=log,
                stderr=log,
            )
        assert wait_for(self._listens, 30), self.log.read_text()

    @property
    def memory(self) -> int:
        """Octets of memory that the process has had at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> int:
        for client in self.clients:
            client.close()
        self.process.terminate()
        return self.process.wait(15)


Start = Callable[..., Receiver]


@pytest.fixture
def start(broker: LocalKafka, tmp_path: Path) -> Iterator[Start]:
    started: list[Receiver] = []

    def start_one(**smtp: Any) -> Receiver:
        started.append(Receiver(broker, tmp_path, smtp))
        return started[-1]

    yield start_one
    for receiver in started:
        receiver.stop()


class Client:
    """A raw connection to a receiver."""

    def __init__(self, receiver: Receiver) -> None:
        self.socket = socket.create_connection(("127.0.0.1", receiver.port), 20)
        self.replies = self.socket.makefile("rb")
        receiver.clients.append(self)
        assert self.read().startswith(b"220")

    def close(self) -> None:
        self.replies.close()
        self.socket.close()

    def read(self) -> bytes:
        return self.replies.readline()

    def say(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        return self.read()

    def begin(self, *recipients: bytes, sender: bytes = b"anna@good.test") -> None:
        for line in (b"HELO client.good.test", b"MAIL FROM:<" + sender + b">"):
            assert self.say(line).startswith(b"250")
        for recipient in recipients or (b"desk@ours.test",):
            assert self.say(b"RCPT TO:<" + recipient + b">").startswith(b"250")
        assert self.say(b"DATA").startswith(b"354")


def held_from(broker: LocalKafka, sender: str) -> list[bytes]:
    """The messages of an envelope sender that Kafka holds."""
    found = [(decode_headers(one.headers()), one.value()) for one in read_topic(broker.bootstrap, "mail.raw")]
    ours = [(envelope, value) for envelope, value in found if envelope.envelope_from == sender]
    return [value or b"" for envelope, value in ours if envelope.type in WITH_MESSAGE]


def answered_from(broker: LocalKafka, sender: str) -> list[str]:
    """What the receiver wrote down of its answers without a verdict."""
    found = [decode_headers(one.headers()) for one in read_topic(broker.bootstrap, "mail.raw")]
    return [one.answered for one in found if one.type is RawType.ANSWERED and one.envelope_from == sender]


def test_a_message_that_is_held_is_answered_250_when_the_process_stops(start: Start, broker: LocalKafka) -> None:
    """Nobody gives a verdict here: without the answer the client would send again what we have."""
    receiver = start(verdict_timeout="120s")
    client, idle = Client(receiver), Client(receiver)
    client.begin(sender=b"stopped@good.test")
    client.socket.sendall(MESSAGE + b".\r\n")
    assert wait_for(lambda: held_from(broker, "stopped@good.test"))
    began = time.monotonic()
    receiver.process.send_signal(signal.SIGTERM)
    said = client.read()
    assert said.startswith(b"250 2.0.0 Accepted as ")
    assert time.monotonic() - began < 60
    assert client.read() == b"" and idle.read().startswith(b"421 4.3.2")
    assert receiver.process.wait(10) == 0
    assert held_from(broker, "stopped@good.test") == [MESSAGE]
    # Only the receiver knows what was said: a refusal that is decided later is late by its word.
    assert answered_from(broker, "stopped@good.test") == [said.decode().strip()]


def test_what_no_broker_takes_is_refused_for_good(start: Start, broker: LocalKafka) -> None:
    """The envelope leaves no room for the message in a record: 451 would be said again and again for days."""
    receiver = start(verdict_timeout="0s", max_recipients=1000, max_commands=2000)
    client = Client(receiver)
    client.begin(*(b"%d.%s@ours.test" % (number, b"x" * 960) for number in range(1000)), sender=b"long@good.test")
    assert (
        client.say(MESSAGE + b"x\r\n" * 30_000 + b".")
        == b"552 5.3.4 The message is too large to be held with its envelope\r\n"
    )
    client.begin(sender=b"long@good.test")
    assert client.say(MESSAGE + b".").startswith(b"250")
    assert held_from(broker, "long@good.test") == [MESSAGE]


def test_many_large_messages_at_a_time_take_the_memory_of_few(start: Start, broker: LocalKafka) -> None:
    """Sixteen of 30 MB, sent together and ended at the same moment."""
    receiver = start(verdict_timeout="0s", memory="64MiB")
    before = receiver.memory
    clients = [Client(receiver) for _ in range(16)]
    line = b"x" * 998 + b"\r\n"

    def send(client: Client) -> None:
        client.begin(sender=b"large@good.test")
        for _ in range(30):
            client.socket.sendall(line * 1000)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, clients))
        assert receiver.memory - before < 100 << 20  # nothing but what is being read
        replies = list(pool.map(lambda client: client.say(b"."), clients))
    assert all(reply.startswith(b"250") for reply in replies), replies
    assert len(held_from(broker, "large@good.test")) == 16
    assert receiver.memory - before < 300 << 20  # a few copies of one, not sixteen of them
