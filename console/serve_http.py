"""The console's port: uvicorn, a thread in front of it that answers for health, and limits on how long a client may keep it waiting."""

import asyncio
import contextlib
import ipaddress
import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from contracts.settings import Settings
from runtime.answer_health import HealthDoor
from runtime.name_peer import name_peer

DRAIN = (
    0.5  # seconds that requests have to end when the process stops; a client that does not read would hold it for ever
)
HEADER = 10.0  # seconds that the header of a request may take
MAX_HEADER = 32 << 10  # octets of it
MAX_CONNECTIONS = 500  # at a time; more are answered 503, and far more are closed
BEYOND = 100  # connections that wait to be answered so
OF_ONE_PEER = MAX_CONNECTIONS // 2
STUCK = 60.0  # seconds that a client may take to read what waits for it, some 50 KiB


class _Protocol(H11Protocol):
    """HTTP as uvicorn speaks it. A header that does not come to its end in time is answered 408; who does not read is hung up on."""

    _late: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None
    on_lost: Callable[[], None] = staticmethod(lambda: None)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        self.resume_writing()
        super().connection_lost(exc)
        self.on_lost()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck = self._stuck or self.loop.call_later(STUCK, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:  # the header is whole
            self._unwatch()
        elif self._late is None:
            self._late = self.loop.call_later(HEADER, self._too_late)

    def _unwatch(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            error = {"code": "timeout", "message": f"the header of a request takes at most {HEADER:g} s", "field": None}
            body = json.dumps({"error": error}).encode()
            self.transport.write(
                b"HTTP/1.1 408 Request Timeout\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            self.transport.close()


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        listening: socket.socket,
        why_not_ready: Callable[[bool], str],
        trusted_proxies: Sequence[str],
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._why_not_ready = why_not_ready
        self._door: HealthDoor | None = None
        self._adopting: set[asyncio.Task[Any]] = set()  # a task that nobody holds may be collected
        self._peers: Counter[str] = Counter()  # connections by peer
        self._proxies = [ipaddress.ip_network(one, strict=False) for one in trusted_proxies]

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the process has its own way to stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        self._door = HealthDoor(self._listening, self._why_not_ready, lambda connection: self._adopt(loop, connection))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._door is not None:
            self._door.close()
        await super().shutdown(sockets)

    def _adopt(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        """Serve this connection as if it had been accepted here. From any thread."""

        try:
            peer = name_peer(connection.getpeername()[0])
        except OSError:  # its other side has gone
            connection.close()
            return

        def protocol() -> asyncio.Protocol:
            spoken = _Protocol(self.config, self.server_state, self.lifespan.state)
            spoken.on_lost = lambda: self._end(peer)
            return spoken

        async def connect() -> None:
            try:
                await loop.connect_accepted_socket(protocol, connection)
            except OSError:
                connection.close()
                self._end(peer)

        def begin() -> None:
            if self.should_exit or len(self.server_state.connections) >= MAX_CONNECTIONS + BEYOND:
                connection.close()
                return
            if self._peers[peer] >= OF_ONE_PEER and not self._is_proxy(peer):
                connection.close()
                return
            self._peers[peer] += 1
            task = loop.create_task(connect())
            self._adopting.add(task)
            task.add_done_callback(self._adopting.discard)

        try:
            loop.call_soon_threadsafe(begin)
        except RuntimeError:  # the loop has ended
            connection.close()

    def _end(self, peer: str) -> None:
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]

    def _is_proxy(self, peer: str) -> bool:
        address = ipaddress.ip_network(peer).network_address
        return any(address in network for network in self._proxies)


async def serve_console(
    app: ASGIApp, settings: Settings, stop: asyncio.Event, why_not_ready: Callable[[bool], str]
) -> None:
    """Serve until told to stop; `why_not_ready` is told whether to leave the store out. OSError when the port is taken."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=DRAIN,  # type: ignore[arg-type]
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEADER,
        limit_concurrency=MAX_CONNECTIONS,
        proxy_headers=bool(settings.console.trusted_proxies),
        forwarded_allow_ips=list(settings.console.trusted_proxies),
    )
    server = _Server(config, _listen(settings), why_not_ready, settings.console.trusted_proxies)
    serving = asyncio.create_task(server.serve([]))
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    waiting.cancel()
    await serving


def _listen(settings: Settings) -> socket.socket:
    """The socket of the port. Left to uvicorn, a port that is taken would end the process from within a task."""
    host, port = settings.console.host, settings.console.port
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise OSError(f"the console cannot listen on {host}:{port} ({error.strerror}): set console.port") from error
    return listening
