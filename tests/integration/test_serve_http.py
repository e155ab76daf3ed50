"""The console's port on a socket: who is hung up on, and how many may hold it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from console import serve_http
from contracts.settings import Settings

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Served:
    """A port behind which an application pours without end, or answers `hello`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.settings = Settings.model_validate({"data_dir": str(folder), "console": {"port": port}})
        self.address = ("127.0.0.1", port)
        self.pours = False
        self.asked = 0
        self.stop = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        self.asked += 1
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        while self.pours and (await asyncio.wait_for(self._pour(send), 30)):
            pass
        await send({"type": "http.response.body", "body": b"hello"})

    async def _pour(self, send: Send) -> bool:
        await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
        return not self.stop.is_set()

    async def run(self) -> None:
        await serve_http.serve_console(self, self.settings, self.stop, lambda without_store: "")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(500):
            try:
                return await asyncio.open_connection(*self.address, limit=1024)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
        raise AssertionError("nobody listens")


@pytest.fixture
async def served(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[Served]:
    served = Served(tmp_path, free_port())
    running = asyncio.create_task(served.run())
    yield served
    served.stop.set()
    await asyncio.wait_for(running, 20)


async def heard(served: Served, said: bytes) -> bytes:
    reader, writer = await served.connect()
    writer.write(said)
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return answer


async def test_a_request_is_served_and_health_beside_it(served: Served) -> None:
    assert (await heard(served, ASK)).endswith(b"\r\nhello\r\n0\r\n\r\n")
    assert (await heard(served, b"GET /readyz HTTP/1.1\r\n\r\n")).endswith(b"ok\n") and served.asked == 1


async def test_a_header_that_does_not_end_is_answered_408(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_http, "HEADER", 0.1)
    answer = await heard(served, ASK[:-2])
    assert answer.startswith(b"HTTP/1.1 408 ") and b'"code": "timeout"' in answer and served.asked == 0


async def test_who_does_not_read_is_hung_up_on(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_http, "STUCK", 0.2)
    served.pours = True
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        (await served.connect())[1].close()
        client.connect(served.address)
        client.sendall(ASK)
        await asyncio.sleep(2)
        client.settimeout(5)
        octets, last = 0, b""
        with contextlib.suppress(ConnectionResetError):
            while (more := await asyncio.to_thread(client.recv, 1 << 20)) and octets < 50 << 20:
                octets, last = octets + len(more), more
    assert octets < 50 << 20 and not last.endswith(b"0\r\n\r\n"), "it went on as soon as it was read"


async def test_one_peer_holds_half_of_the_connections(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_http, "OF_ONE_PEER", 3)
    held = [await served.connect() for _ in range(3)]
    for _, writer in held:
        writer.write(ASK[:-2])
    await asyncio.sleep(0.5)
    with pytest.raises((ConnectionResetError, AssertionError)):
        assert await heard(served, ASK)
    assert (await heard(served, b"GET /healthz HTTP/1.1\r\n\r\n")).endswith(b"ok\n")
    for _, writer in held:
        writer.close()
    for _ in range(100):
        try:
            if await heard(served, ASK):
                return
        except ConnectionResetError:
            pass
        await asyncio.sleep(0.05)
    raise AssertionError("connections that are over still count")
