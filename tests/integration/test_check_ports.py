"""Ports that are taken are named before anything starts, with who holds them."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local.check_ports import UDP, Listening, PortsTaken, check_ports
from tests.e2e.pipeline import ROOT, free_base

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listen(stack: ExitStack, host: str = "127.0.0.1", port: int = 0) -> int:
    server = stack.enter_context(socket.create_server((host, port)))
    found: int = server.getsockname()[1]
    return found


def datagrams(stack: ExitStack, host: str, port: int) -> int:
    server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.bind((host, port))
    found: int = server.getsockname()[1]
    return found


def test_free_ports_are_no_trouble_and_stay_free(stack: ExitStack) -> None:
    with ExitStack() as before:
        port = listen(before)
    check_ports([Listening("x", "127.0.0.1", port), Listening("y", "127.0.0.1", port, UDP)])
    assert listen(stack, port=port) == port


def test_what_lingers_of_a_connection_is_no_trouble() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # the server's side waits in TIME_WAIT
            client.recv(1)
    check_ports([Listening("x", "127.0.0.1", port)])


@LINUX
def test_all_that_are_taken_are_named_with_their_holders(stack: ExitStack) -> None:
    first, second = listen(stack), listen(stack, "0.0.0.0")
    third = datagrams(stack, "127.0.0.1", 0)
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        fourth = int(child.stdout.readline())
        with pytest.raises(PortsTaken) as told:
            check_ports(
                [
                    Listening("SMTP", "127.0.0.1", first),
                    Listening("console", "127.0.0.1", second),
                    Listening("DNS", "127.0.0.1", third, UDP),
                    Listening("Kafka", "127.0.0.1", fourth),
                    Listening("nobody", "192.0.2.1", 25),
                ]
            )
    finally:
        child.kill()
        child.communicate()
    lines = str(told.value).splitlines()
    for line, expected in zip(lines[1:], (f"{first} (SMTP)", f"{second} (console)", f"{third} (DNS)"), strict=False):
        assert expected in line and f"held by process {os.getpid()}" in line
    assert (
        f"{fourth} (Kafka): address already in use, held by process {child.pid} (" in lines[4] and "python" in lines[4]
    )
    assert "192.0.2.1:25 (nobody): cannot assign requested address" in lines[5]


def test_up_and_demo_name_what_is_taken_and_start_nothing(tmp_path: Path, stack: ExitStack) -> None:
    base = free_base()
    for offset in (25, 80, 93, 106, 190):
        listen(stack, port=base + offset)
    datagrams(stack, "127.0.0.1", base + 153)
    listen(stack, "127.0.1.12", base + 150)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILSCOPE_")}
    told = {}
    for command in ("up", "demo"):
        data = tmp_path / command
        environ = {**kept, "MAILSCOPE_PORT_BASE": str(base), "MAILSCOPE_DATA_DIR": str(data)}
        done = subprocess.run(
            [sys.executable, "-m", "mailscope", command],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 69 and "Traceback" not in done.stderr, done.stderr
        assert not (data / "kafka").exists() and not list(data.glob("run/*.pid"))
        told[command] = [line for line in done.stderr.splitlines() if line.startswith("  ")]
    named = {command: {line.split()[1].rpartition(":")[2] for line in lines} for command, lines in told.items()}
    assert named["up"] == {str(base + offset) for offset in (25, 80, 93, 106)}
    assert named["demo"] == named["up"] | {str(base + offset) for offset in (150, 153, 190)}
    assert any("udp" in line and "DNS" in line for line in told["demo"])
