"""IMAPClient's connection with bounds: what it reads is counted, and another thread can cut it."""

import imaplib
import select
import socket
import ssl
from collections.abc import Callable

from imapclient import IMAPClient, SocketTimeout

from contracts.setting_types import MailboxPlace

SILENCE = 60.0  # seconds without an octet while an answer is due
LONGEST_LINE = 1 << 20  # octets; a search names 50,000 UIDs in half of that
ANSWER = 4 << 20  # octets of one answer, beside the message that was asked for


class BoundedConnection(imaplib.IMAP4):
    """imaplib's connection, which counts what it reads, and can be cut."""

    def __init__(self, place: MailboxPlace, context: ssl.SSLContext | None) -> None:
        self.room = ANSWER
        self._context = context
        self._to_cut: socket.socket | None = None
        super().__init__(place.host, place.port, SILENCE)

    def _create_socket(self, timeout: float | None) -> socket.socket:
        connected = self._to_cut = socket.create_connection((self.host, self.port), timeout)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._context is None:
            return connected
        tls = self._context.wrap_socket(connected, server_hostname=self.host, do_handshake_on_connect=False)
        self._to_cut = tls
        tls.do_handshake()
        return tls

    def cut(self) -> None:
        """End whatever waits for it. From any thread."""
        if self._to_cut is not None:
            try:
                socket.socket.shutdown(self._to_cut, socket.SHUT_RDWR)  # below TLS, which is another thread's
            except OSError:
                return

    def close_files(self) -> None:
        """Let go of what is open, also of a connection that never came to be."""
        for one in (getattr(self, "file", None), getattr(self, "sock", None), self._to_cut):
            if one is not None:
                one.close()

    def read(self, size: int) -> bytes:
        """A literal."""
        self._spend(size)
        octets: bytes = self.file.read(size)  # type: ignore[assignment]
        if len(octets) < size:
            raise self.abort("the connection ended within a literal")
        return octets

    def readline(self) -> bytes:
        """A line."""
        line: bytes = self.file.readline(LONGEST_LINE + 1)  # type: ignore[assignment]
        if len(line) > LONGEST_LINE:
            raise self.abort(f"a line of more than {LONGEST_LINE} octets")
        self._spend(len(line))
        return line

    def news_within(self, seconds: float) -> bool:
        """Whether the server has said something that is not read yet, or says it in time."""
        if self._buffered():
            return True
        poller = select.poll()
        poller.register(self.sock.fileno(), select.POLLIN)
        if not poller.poll(seconds * 1000):
            return False
        if not self._buffered() and not isinstance(self.sock, ssl.SSLSocket):
            raise self.abort("the connection ended")
        return True  # of TLS it may be no more than a ticket: who asks hears it

    def _buffered(self) -> bool:
        """What the reader or TLS has already taken from the socket is not seen by poll()."""
        self.sock.setblocking(False)
        try:
            return bool(self.file.peek(1))  # type: ignore[union-attr]
        except (ssl.SSLWantReadError, BlockingIOError):
            return False
        finally:
            self.sock.settimeout(SILENCE)

    def _spend(self, octets: int) -> None:
        self.room -= octets
        if self.room < 0:
            raise self.abort("more than was asked for")


class BoundedClient(IMAPClient):  # type: ignore[misc]
    """IMAPClient over such a connection, which `known` gets before it is open: opening can be cut as well."""

    def __init__(
        self, place: MailboxPlace, context: ssl.SSLContext | None, known: Callable[[BoundedConnection], None]
    ) -> None:
        self._place, self._context, self._known = place, context, known
        super().__init__(place.host, place.port, timeout=SocketTimeout(SILENCE, SILENCE))
        self._imap.debug = 0

    def _create_IMAP4(self) -> BoundedConnection:
        connection = BoundedConnection.__new__(BoundedConnection)
        self._known(connection)
        connection.__init__(self._place, self._context)  # type: ignore[misc]
        return connection
