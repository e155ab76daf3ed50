"""Stopping, while clients hold open what they have: within 10 s, in order, nothing killed."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import find_free_port
from tests.e2e.pipeline import ROOT, Pipeline

pytestmark = pytest.mark.alone

LONG = "x" * 900


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    running = Pipeline(tmp_path)
    try:
        yield running.start()
    finally:
        running.close()


def fill_the_log(pipeline: Pipeline) -> None:
    """More than fits into the buffers between a client that does not read and the console."""
    for _ in range(20):
        raw, _ = pipeline.mail(subject=LONG, sign=False)
        code, text = pipeline.send(raw, [f"r{number}@open.test" for number in range(100)])
        assert code == 250, text


def asking(pipeline: Pipeline, text: str) -> socket.socket:
    """A client that says so much and then neither says nor reads anything."""
    client = socket.create_connection(("127.0.0.1", pipeline.base + 80))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    head = f"{text} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {pipeline.token}\r\n"
    client.sendall(head.encode())
    return client


def occupy(pipeline: Pipeline, held: contextlib.ExitStack) -> None:
    """Hold open whatever a client can hold open."""
    kept = held.enter_context(httpx.Client(trust_env=False))
    kept.get(f"{pipeline.api}/healthz")
    for number in range(3):
        export = held.enter_context(asking(pipeline, f"GET /api/v1/export?format={('csv', 'ndjson')[number % 2]}"))
        export.sendall(b"\r\n")
    body = held.enter_context(asking(pipeline, "POST /api/v1/send"))
    body.sendall(b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{")
    held.enter_context(asking(pipeline, "GET /"))
    for offset in (101, 102, 103, 104, 105, 106):
        held.enter_context(socket.create_connection(("127.0.0.1", pipeline.base + offset)))
    held.enter_context(contextlib.closing(pipeline.smtp()))
    in_data = held.enter_context(contextlib.closing(pipeline.smtp()))
    in_data.ehlo()
    in_data.mail("anna@good.test")
    in_data.rcpt("desk@ours.test")
    in_data.putcmd("data")
    assert in_data.getreply()[0] == 354
    in_data.send(b"Subject: half a mail\r\n")


def test_it_stops_without_kills_whatever_clients_hold_open(pipeline: Pipeline) -> None:
    """What does not end within the ten seconds that the supervisor promises is killed by it, which it says."""
    fill_the_log(pipeline)
    for _ in range(2):
        with contextlib.ExitStack() as held:
            occupy(pipeline, held)
            time.sleep(1)
            pipeline.stop()
            said = pipeline.log()
            assert "was killed" not in said, said[-3000:]
            assert pipeline.exit_code == 0
        pipeline.start()


def test_a_stage_that_waits_for_kafka_at_its_start_stops_at_once(tmp_path: Path) -> None:
    """It asks brokers that do not answer, in a thread that cannot be told to stop."""
    for words, offset in ((("ingest", "smtp"), 4), (("sinks", "delivery"), 2)):
        port = find_free_port()
        environ = {
            "MAILSCOPE_KAFKA__BOOTSTRAP": f"127.0.0.1:{find_free_port()}",
            "MAILSCOPE_METRICS__PORT": str(port - offset),
            "MAILSCOPE_DATA_DIR": str(tmp_path / words[1]),
            "PATH": "/usr/bin:/bin",
        }
        process = subprocess.Popen([sys.executable, "-m", "mailscope", *words], cwd=ROOT, env=environ)
        try:
            deadline = time.monotonic() + 20
            while True:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                assert time.monotonic() < deadline
                time.sleep(0.05)
            time.sleep(1.5)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(10)
            assert time.monotonic() - began < 5, "the supervisor would have to kill it"
        finally:
            process.kill()
            process.wait()
