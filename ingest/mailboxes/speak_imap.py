"""A mailbox over IMAP (RFC 3501), by IMAPClient, with bounds on what a server can make us wait for or keep.

Every method blocks and belongs to one thread; `cut` alone may be called from another one, and ends whatever waits. How long a command
may take is the caller's: it cuts. What a server says is not believed: lines and literals are counted, UIDs are looked at.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imapclient.exceptions import IMAPClientAbortError, IMAPClientError, LoginError

from contracts.events import ChannelState
from contracts.setting_types import MailboxPlace
from ingest.mailboxes.bound_imap import ANSWER, BoundedClient, BoundedConnection

AT_ONCE = 50_000  # mails that one search may name
MOST_UID = (1 << 32) - 1
_THROTTLED = ("[LIMIT]", "[UNAVAILABLE]", "[INUSE]", "too many", "throttl", "rate limit", "try again later")


class MailboxTrouble(Exception):
    """The mailbox cannot be read now: in which state its channel is, and the server's text."""

    def __init__(self, state: ChannelState, detail: str) -> None:
        super().__init__(f"{state}: {detail}")
        self.state = state
        self.detail = "".join(one if one.isprintable() else " " for one in detail[:500])


class UnreadableMail(Exception):
    """The server does not give this one mail, and goes on otherwise."""


@dataclass(frozen=True)
class Login:
    """What is shown to the server: a password, or a bearer token with its mechanism."""

    secret: str
    mechanism: str = ""  # XOAUTH2 or OAUTHBEARER; "": a password


@dataclass(frozen=True)
class OpenFolder:
    """The folder as it was opened."""

    uid_validity: int
    exists: int
    uid_next: int


@dataclass(frozen=True)
class FoundMail:
    """What the server says of a mail before it is fetched."""

    uid: int
    size: int
    arrived_at: datetime | None  # INTERNALDATE, UTC; None where the server gives none that is one


class Mailbox:
    """One connection to one folder."""

    def __init__(self, place: MailboxPlace, ca_file: Path | None) -> None:
        self.place = place
        self.connection: BoundedConnection | None = None
        self._ca_file = ca_file
        self._client: Any = None
        self._was_cut = ""

    def open(self, login: Login, *, read_only: bool = False) -> OpenFolder:
        """Connect, log in, and open the folder. MailboxTrouble where that does not work."""
        try:
            context = ssl.create_default_context(cafile=self._ca_file) if self.place.tls else None
        except OSError as error:
            raise MailboxTrouble(ChannelState.TLS_FAILED, f"ca_file: {self._ca_file}: {error.strerror}") from error
        try:
            self._client = BoundedClient(self.place, context, self._connecting)
            self._log_in(login)
        except LoginError as error:
            if self._was_cut or isinstance(error.__context__, IMAPClientAbortError):  # it ended before it was answered
                raise self._trouble(error.__context__ or error) from None
            text = str(error)
            throttled = any(word.lower() in text.lower() for word in _THROTTLED)
            state = ChannelState.THROTTLED if throttled else ChannelState.AUTH_FAILED
            raise MailboxTrouble(state, _without(text, login.secret)) from None
        except Exception as error:
            raise self._trouble(error) from error
        try:
            self._begin()
            answer = self._client.select_folder(self.place.folder, readonly=read_only)
            return OpenFolder(
                _number(answer[b"UIDVALIDITY"]), int(answer[b"EXISTS"]), _number(answer.get(b"UIDNEXT", MOST_UID))
            )
        except Exception as error:
            if isinstance(error, IMAPClientError) and not isinstance(error, IMAPClientAbortError):
                raise MailboxTrouble(ChannelState.REFUSED, f"{self.place.folder}: {error}") from error
            raise self._trouble(error) from error

    def uids_after(self, last: int, folder: OpenFolder) -> list[int]:
        """The UIDs above `last`, ascending, at most AT_ONCE; [] when there are none. MailboxTrouble."""
        if folder.exists <= AT_ONCE:
            return self._search(last, MOST_UID)
        begin = last
        while begin < folder.uid_next:  # a window of numbers holds no more mails than that
            found = self._search(begin, begin + AT_ONCE)
            if found:
                return found
            begin += AT_ONCE
        return self._search(begin, MOST_UID)

    def _search(self, above: int, until: int) -> list[int]:
        if above >= MOST_UID:
            return []
        with self._asking():
            self._begin()
            ids = self._client.search(["UID", f"{above + 1}:{'*' if until >= MOST_UID else until}"])
        # `n:*` names the last mail whatever its UID (RFC 3501 section 6.4.8).
        return sorted({uid for uid in ids if above < uid <= min(until, MOST_UID)})[:AT_ONCE]

    def describe(self, uid: int) -> FoundMail | None:
        """Size and date of a mail; None when it is gone. UnreadableMail, MailboxTrouble."""
        answer = self._fetch(uid, ["RFC822.SIZE", "INTERNALDATE"], 0)
        if answer is None:
            return None
        size, arrived = answer.get(b"RFC822.SIZE"), answer.get(b"INTERNALDATE")
        if not isinstance(size, int) or size < 0:
            raise UnreadableMail("the server does not say how large it is")
        return FoundMail(uid, size, arrived.astimezone(UTC) if isinstance(arrived, datetime) else None)

    def fetch(self, uid: int, at_most: int) -> bytes | None:
        """The octets of a mail, not flagged by that; None when it is gone. UnreadableMail where they are none or more than `at_most`."""
        answer = self._fetch(uid, ["BODY.PEEK[]"], at_most)
        if answer is None:
            return None
        octets = answer.get(b"BODY[]")
        if not isinstance(octets, bytes):
            raise UnreadableMail("the server does not give its octets")
        return octets

    def _fetch(self, uid: int, what: list[str], octets: int) -> dict[bytes, Any] | None:
        with self._asking_about_one():
            self._begin(octets)
            answer: dict[bytes, Any] | None = self._client.fetch([uid], what).get(uid)
        return answer

    def mark(self, uid: int, *, seen: bool, move_to: str) -> None:
        """Flag a mail, or move it. UnreadableMail when the server refuses that, MailboxTrouble."""
        with self._asking_about_one():
            if seen:
                self._begin()
                self._client.add_flags([uid], [b"\\Seen"], silent=True)
            if move_to:
                self._begin()
                if self._client.has_capability("MOVE"):
                    self._client.move([uid], move_to)
                else:
                    self._client.copy([uid], move_to)
                    self._client.delete_messages([uid], silent=True)
                    if self._client.has_capability("UIDPLUS"):  # EXPUNGE alone takes what others have deleted
                        self._client.uid_expunge([uid])

    @property
    def tells(self) -> bool:
        """Whether the server tells of new mail by itself (IDLE, RFC 2177)."""
        return bool(self._client.has_capability("IDLE"))

    def begin_idle(self) -> None:
        """Have the server tell of news. MailboxTrouble."""
        with self._asking():
            self._begin()
            self._client.idle()

    def await_news(self, seconds: float) -> None:
        """Until the server says anything, at most so long. MailboxTrouble."""
        assert self.connection is not None
        with self._asking():
            self.connection.news_within(seconds)

    def end_idle(self) -> None:
        """Have it stop that; whatever it said is looked for by a search. MailboxTrouble."""
        with self._asking():
            self._client.idle_done()

    def ask(self) -> None:
        """NOOP: a moment for the server to see what is new (RFC 3501 section 6.1.2). MailboxTrouble."""
        with self._asking():
            self._begin()
            self._client.noop()

    def close(self) -> None:
        """Hang up, without a word: the server may be the one that is silent."""
        if self.connection is not None:
            self.connection.cut()
            self.connection.close_files()

    def cut(self, why: str = "told to stop") -> None:
        """End whatever this connection waits for. From any thread."""
        self._was_cut = self._was_cut or why
        if self.connection is not None:
            self.connection.cut()

    def _connecting(self, connection: BoundedConnection) -> None:
        self.connection = connection

    def _log_in(self, login: Login) -> None:
        client, user = self._client, self.place.user
        self._begin()
        if login.mechanism == "XOAUTH2":
            client.oauth2_login(user, login.secret)
        elif login.mechanism == "OAUTHBEARER":
            client.oauthbearer_login(user, login.secret)
        elif client.has_capability("AUTH=PLAIN"):
            client.plain_login(user, login.secret)  # which can say more than ASCII
        else:
            client.login(user, login.secret)

    def _begin(self, octets: int = 0) -> None:
        """Before each command: imaplib keeps what nobody asked for, and what may come has a bound."""
        assert self.connection is not None
        self.connection.untagged_responses.clear()
        self.connection.room = ANSWER + octets

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Whatever goes wrong is MailboxTrouble."""
        try:
            yield
        except Exception as error:
            raise self._trouble(error) from error

    @contextmanager
    def _asking_about_one(self) -> Iterator[None]:
        """The same, but what the server refuses about one mail is UnreadableMail."""
        try:
            yield
        except IMAPClientError as error:
            if isinstance(error, IMAPClientAbortError):
                raise self._trouble(error) from error
            raise UnreadableMail(str(error)[:500]) from error
        except Exception as error:
            raise self._trouble(error) from error

    def _trouble(self, error: BaseException) -> MailboxTrouble:
        """What went wrong, in a word. The library may stumble in any way over what a server says: that is the server's."""
        if self._was_cut:
            return MailboxTrouble(ChannelState.CONNECTION_DROPPED, self._was_cut)
        if isinstance(error, socket.gaierror):
            return MailboxTrouble(ChannelState.DNS_FAILED, f"{self.place.host}: {error.strerror or error}")
        if isinstance(error, ssl.SSLError):
            return MailboxTrouble(ChannelState.TLS_FAILED, getattr(error, "verify_message", "") or str(error))
        text = str(error) or type(error).__name__
        if any(word.lower() in text.lower() for word in _THROTTLED):
            return MailboxTrouble(ChannelState.THROTTLED, text)
        return MailboxTrouble(ChannelState.CONNECTION_DROPPED, text)


def _number(value: Any) -> int:
    number = int(value)
    if not 0 < number <= MOST_UID:
        raise ValueError(f"{number} is no number of a mailbox")
    return number


def _without(text: str, secret: str) -> str:
    """A server may repeat what it was told."""
    return text.replace(secret, "***") if secret else text
