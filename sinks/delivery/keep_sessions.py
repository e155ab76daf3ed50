"""Sessions that are open and idle, so that the next mail to the same server needs no new one."""

import time
from collections import OrderedDict

from sinks.delivery.open_session import Session
from sinks.delivery.tls_policy import Encryption

IDLE = 8.0  # seconds that a session is kept without a mail
TRANSACTIONS = 100  # of one session
MOST = 200  # sessions


Key = tuple[str, int, Encryption]


class Sessions:
    """Keyed by the server's name and port, and how it had to be encrypted. `close_idle` is to be called every second or so."""

    def __init__(self) -> None:
        self._idle: OrderedDict[Session, Key] = OrderedDict()  # longest idle first

    def take(self, host: str, port: int, encryption: Encryption = Encryption.OPPORTUNISTIC) -> Session | None:
        """An idle session with this server, the one used last; None when there is none."""
        for session in reversed(self._idle):
            if self._idle[session] == (host, port, encryption):
                del self._idle[session]
                if session.is_connected:
                    return session
                session.close()
                return None
        return None

    def give(
        self,
        session: Session,
        port: int,
        encryption: Encryption = Encryption.OPPORTUNISTIC,
        transactions: int = TRANSACTIONS,
    ) -> None:
        """Keep it for the next mail, or close it when it has served enough."""
        session.transactions += 1
        if session.transactions >= transactions or not session.is_connected:
            self._leave(session)
            return
        session.idle_since = time.monotonic()
        self._idle[session] = (session.host, port, encryption)
        while len(self._idle) > MOST:
            self._leave(self._idle.popitem(last=False)[0])

    def close_idle(self, idle: float = IDLE) -> None:
        """Close those that have been idle for so many seconds."""
        before = time.monotonic() - idle
        while self._idle and next(iter(self._idle)).idle_since <= before:
            self._leave(self._idle.popitem(last=False)[0])

    def close(self) -> None:
        """Close all."""
        while self._idle:
            self._leave(self._idle.popitem(last=False)[0])

    def _leave(self, session: Session) -> None:
        if session.transport is not None and not session.transport.is_closing():
            session.transport.write(b"QUIT\r\n")  # type: ignore[attr-defined]
        session.close()
