"""An IMAP server that says what a test tells it to, word for word."""

import re
import socket
import threading
from collections.abc import Callable
from typing import BinaryIO

Answer = Callable[["Line"], bytes | None]  # None: hang up


class Line:
    """A command: its tag, and the rest."""

    def __init__(self, octets: bytes) -> None:
        tag, _, self.text = octets.strip().decode("latin-1").partition(" ")
        self.tag = tag.encode()

    def ok(self, untagged: bytes = b"") -> bytes:
        return untagged + self.tag + b" OK done\r\n"


def usual(line: Line) -> bytes | None:
    """A mailbox of one mail, UID 5."""
    if line.text.startswith("AUTHENTICATE"):
        return b"+ \r\n"
    if line.text.startswith("CAPABILITY"):
        return line.ok(b"* CAPABILITY IMAP4rev1 IDLE\r\n")
    if line.text.startswith(("SELECT", "EXAMINE")):
        return line.ok(b"* 1 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT 6] ok\r\n")
    if line.text.startswith("UID SEARCH"):
        return line.ok(b"* SEARCH 5\r\n")
    if "RFC822.SIZE" in line.text:
        return line.ok(b'* 1 FETCH (UID 5 RFC822.SIZE 9 INTERNALDATE "03-Nov-2026 12:22:54 +0000")\r\n')
    if "BODY.PEEK" in line.text:
        return line.ok(b"* 1 FETCH (UID 5 BODY[] {9}\r\nA: b\r\n\r\nc)\r\n")
    return line.ok()


class ScriptedImap:
    """Answers commands that match a pattern with what the test says, all others as usual."""

    def __init__(self, greeting: bytes = b"* OK hello\r\n") -> None:
        self._greeting = greeting
        self._answers: list[tuple[re.Pattern[str], Answer]] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        self.heard: list[str] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def on(self, pattern: str, answer: Answer | bytes) -> "ScriptedImap":
        """`answer` is a function of the command, or what is sent before its OK."""
        self._answers.append(
            (re.compile(pattern), answer if callable(answer) else lambda line, said=answer: line.ok(said))
        )
        return self

    def stop(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)  # ends what waits in accept()
        self._server.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as commands:
                self._converse(connection, commands)
        except OSError:
            return

    def _converse(self, connection: socket.socket, commands: BinaryIO) -> None:
        connection.sendall(self._greeting)
        for octets in commands:
            line = Line(octets)
            self.heard.append(line.text)
            answer = next((one for pattern, one in reversed(self._answers) if pattern.search(line.text)), usual)
            said = answer(line)
            if said is None:
                return
            connection.sendall(said)
