"""Health on a port that others share: a thread answers for it, and everything else is handed over as it came."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from runtime import answer_health
from runtime.answer_health import HealthDoor


class Door:
    def __init__(self) -> None:
        self.reason = ""
        self.handed: list[socket.socket] = []
        self.arrived = threading.Event()
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = listening.getsockname()
        self.door = HealthDoor(listening, lambda without_store: "" if without_store else self.reason, self.take)

    def take(self, connection: socket.socket) -> None:
        self.handed.append(connection)
        self.arrived.set()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, 20)

    def ask(self, request: bytes) -> bytes:
        with self.connect() as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.door.close()
    for connection in door.handed:
        connection.close()


def test_health_is_answered_while_nobody_takes_anything_over(door: Door) -> None:
    for path in (b"/healthz", b"/readyz", b"/readyz?x=1"):
        answer = door.ask(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nok\n")
    assert door.ask(b"HEAD /healthz HTTP/1.1\r\n\r\n").endswith(b"Content-Length: 3\r\n\r\n")
    door.reason = "Kafka is away"
    assert door.ask(b"GET /healthz HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")
    answer = door.ask(b"GET /readyz HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 ") and answer.endswith(b"Kafka is away\n")
    assert door.ask(b"GET /readyz?exclude=store HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert door.handed == []


@pytest.mark.parametrize(
    "first", [b"GET / HTTP/1.1\r\n", b"POST /healthz HTTP/1.1\r\n", b"GET /healthzy ", b"G", b"GET /readyz/x "]
)
def test_any_other_connection_is_handed_over_untouched(door: Door, first: bytes) -> None:
    with door.connect() as connection:
        connection.sendall(first)
        assert door.arrived.wait(20)
        (handed,) = door.handed
        handed.setblocking(True)
        assert handed.recv(100) == first
        handed.sendall(b"hello")
        assert connection.recv(5) == b"hello"


def test_who_says_nothing_is_closed_and_however_many_they_are_health_answers(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_health, "MAX_SILENT", 20)
    silent = [door.connect() for _ in range(40)]
    for connection in silent[:20]:
        assert connection.recv(1) == b""  # the oldest, for those that came later
    assert door.ask(b"GET /healthz HTTP/1.1\r\n\r\n").endswith(b"ok\n")
    monkeypatch.setattr(answer_health, "SILENCE", 0.0)
    for connection in silent[20:]:
        assert connection.recv(1) == b""
        connection.close()
    for connection in silent[:20]:
        connection.close()


def test_one_that_speaks_in_the_moment_in_which_it_gives_way_breaks_nothing(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one look of the thread: a connection more, so that the oldest is closed, and the oldest's first word."""
    go_on = threading.Event()
    monkeypatch.setattr(door.door, "_hand_over", lambda connection: (door.take(connection), go_on.wait(20)))
    silent = [door.connect() for _ in range(5)]
    with door.connect() as busy:
        busy.sendall(b"X")
        assert door.arrived.wait(20)  # the thread stands still, and what comes now is seen at once
        monkeypatch.setattr(answer_health, "MAX_SILENT", len(silent))
        more = [door.connect() for _ in range(3)]
        for connection in silent:
            connection.sendall(b"G")
        go_on.set()
        assert door.ask(b"GET /healthz HTTP/1.1\r\n\r\n").endswith(b"ok\n")
    for connection in (*silent, *more):
        connection.close()


def test_a_closed_door_leaves_no_thread_and_no_port(free_port: Callable[[], int]) -> None:
    door = Door()
    door.door.close()
    with pytest.raises(ConnectionRefusedError):
        door.connect()
    assert not any(thread.name == "health" for thread in threading.enumerate())
