"""End-of-data sequences (SMTP smuggling) against the real receiver and a real broker.

Right is: one reply to the whole of DATA, at most one message held, its envelope sender unchanged, no bare CR, LF or NUL in it.
(What has them is refused with 550 5.6.0, so nothing is there to be forwarded.)
"""

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer

from contracts.errors import InvalidEvent
from contracts.raw_message import decode_headers
from local.run_kafka import LocalKafka
from tests.conftest import find_free_port
from tests.e2e.pipeline import ROOT
from tests.wait_for import wait_for

SECOND = b"MAIL FROM:<admin@evil.test>\r\nRCPT TO:<a@ours.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"


def score_smuggling(folder: Path) -> tuple[int, int, list[str]]:
    """(right, total, misses)."""
    cases = json.loads((folder / "eod_sequences.json").read_text())
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        with LocalKafka(home / "kafka", find_free_port(), find_free_port()) as kafka:
            port = find_free_port()
            config = home / "mailscope.yaml"
            config.write_text(
                'inbound: {domains: {ours.test: {}}, routes: [{match: {to: "a@ours.test"}, drop: "x"}]}\n'
            )
            environ = {
                **os.environ,
                "MAILSCOPE_CONFIG": str(config),
                "MAILSCOPE_DATA_DIR": str(home / "data"),
                "MAILSCOPE_KAFKA__BOOTSTRAP": kafka.bootstrap,
                "MAILSCOPE_SMTP__PORT": str(port),
                "MAILSCOPE_SMTP__VERDICT_TIMEOUT": "0s",
                "MAILSCOPE_METRICS__PORT": str(find_free_port()),
            }
            command = [sys.executable, "-m", "mailscope"]
            subprocess.run([*command, "topics", "apply"], cwd=ROOT, env=environ, check=True, capture_output=True)
            receiver = subprocess.Popen([*command, "ingest", "smtp"], cwd=ROOT, env=environ, stderr=subprocess.DEVNULL)
            try:
                assert wait_for(lambda: _listens(port)), "the receiver did not start"
                misses = [why for case in cases if (why := _drive(case, port))]
            finally:
                receiver.terminate()
                receiver.wait(10)
            misses += _held_wrongly(kafka.bootstrap)
    return len(cases) - len(misses), len(cases), misses


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _drive(case: dict[str, str], port: int) -> str:
    """Why this case is a miss; "" when it is right."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection, connection.makefile("rb") as replies:
        replies.readline()
        for line in (b"HELO x.test\r\n", b"MAIL FROM:<anna@good.test>\r\n", b"RCPT TO:<a@ours.test>\r\n", b"DATA\r\n"):
            connection.sendall(line)
            replies.readline()
        connection.sendall(b"Subject: first\r\n\r\nhello" + base64.b64decode(case["b64"]) + SECOND + b"\r\n.\r\n")
        answer = replies.readline()
        connection.sendall(b"NOOP\r\n")
        after = replies.readline()
        connection.settimeout(0.2)
        try:
            more = connection.recv(1000)
        except TimeoutError:
            more = b""
    if answer[:3] not in (b"250", b"550") or after[:3] != b"250" or more:
        return f"{case['id']} {case['repr']}: answered {answer!r}, then {after + more!r}"
    return ""


def _held_wrongly(bootstrap: str) -> list[str]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "score", "auto.offset.reset": "earliest"})
    consumer.subscribe(["mail.raw"])
    found, deadline = [], time.monotonic() + 5
    while time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is None or message.error():
            continue
        octets = message.value() or b""
        try:
            sender = decode_headers(message.headers()).envelope_from
        except InvalidEvent as error:
            sender = str(error)
        clean = b"\x00" not in octets and octets.count(b"\r\n") == octets.count(b"\n") == octets.count(b"\r")
        if sender != "anna@good.test" or not clean:
            found.append(f"held from {sender}: {octets[:60]!r}")
    consumer.close()
    return found


if __name__ == "__main__":
    print(score_smuggling(Path(sys.argv[1])))
