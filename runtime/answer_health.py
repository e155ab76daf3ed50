"""Health on a port that others share, answered by a thread of its own: /healthz and /readyz wait for no event loop and no request.

`/readyz?exclude=store` asks whether requests can be answered at all: without the log store, sending and the lists of addresses go on.

The thread accepts every connection and looks at its first octets without taking them. A question about health it answers itself; every
other connection is handed over, untouched. One that says nothing is closed.
"""

import contextlib
import re
import selectors
import socket
import threading
import time
from collections.abc import Callable

from runtime.name_peer import name_peer
from runtime.start_thread import start_thread

SILENCE = 10.0  # seconds that a connection may take to say its first word
MAX_SILENT = (
    200  # connections that have said nothing yet; its peer's oldest, or the oldest of all, is closed for one more
)
LOOK = 0.1  # seconds between two looks at the clock
_QUESTION = re.compile(rb"(?:GET|HEAD) /(healthz|readyz)(\?exclude=store)?[ ?&]")
_LONGEST = 64  # octets in which a question is recognised


class HealthDoor:
    """Takes over a listening socket. `why_not_ready` (told whether the store is to be left out) and `hand_over` are called in this
    thread, and must not wait."""

    def __init__(
        self, listening: socket.socket, why_not_ready: Callable[[bool], str], hand_over: Callable[[socket.socket], None]
    ) -> None:
        self._listening = listening
        self._why_not_ready = why_not_ready
        self._hand_over = hand_over
        self._silent: dict[socket.socket, tuple[float, str]] = {}  # since when, and whose; oldest first
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        listening.setblocking(False)
        listening.listen(1024)
        self._selector.register(listening, selectors.EVENT_READ)
        self._thread = start_thread("health", self._run)

    def close(self) -> None:
        """Accept nothing more. Connections that were handed over stay."""
        self._stop.set()
        self._thread.join(2 * LOOK)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for key, _ in self._selector.select(LOOK):
                    if key.fileobj is self._listening:
                        self._accept()
                    elif key.fileobj in self._silent:  # else it was closed in this very turn
                        self._hear(key.fileobj)
                self._close_silent()
        finally:
            for connection in list(self._silent):
                self._forget(connection).close()
            self._selector.close()
            self._listening.close()

    def _accept(self) -> None:
        try:
            connection, address = self._listening.accept()
        except BlockingIOError:
            return
        except OSError:  # no file descriptor is free: others will be closed
            self._stop.wait(0.05)
            return
        connection.setblocking(False)
        peer = name_peer(str(address[0]))
        if len(self._silent) >= MAX_SILENT:  # whoever has many gives way to itself first
            own = (one for one, (_, whose) in self._silent.items() if whose == peer)
            self._forget(next(own, next(iter(self._silent)))).close()
        self._silent[connection] = (time.monotonic(), peer)
        self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, connection: socket.socket) -> None:
        self._forget(connection)
        try:
            first = connection.recv(_LONGEST, socket.MSG_PEEK)
        except OSError:
            first = b""
        question = _QUESTION.match(first)
        if not first:
            connection.close()
        elif question is None:
            self._hand_over(connection)
        else:
            reason = self._why_not_ready(question[2] is not None) if question[1] == b"readyz" else ""
            self._answer(connection, reason, head=first.startswith(b"HEAD"))

    def _answer(self, connection: socket.socket, reason: str, *, head: bool) -> None:
        body = (reason or "ok").encode() + b"\n"
        status = b"503 Service Unavailable" if reason else b"200 OK"
        headers = b"Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
        answer = b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n" % (status, headers, len(body)) + (b"" if head else body)
        with contextlib.suppress(OSError):
            connection.recv(1 << 16)  # what is unread when it is closed would take the answer away
            connection.send(answer)
            connection.shutdown(socket.SHUT_WR)
        connection.close()

    def _close_silent(self) -> None:
        oldest = time.monotonic() - SILENCE
        for connection in [one for one, (since, _) in self._silent.items() if since < oldest]:
            self._forget(connection).close()

    def _forget(self, connection: socket.socket) -> socket.socket:
        del self._silent[connection]
        self._selector.unregister(connection)
        return connection
