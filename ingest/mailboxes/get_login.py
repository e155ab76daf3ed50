"""What a mailbox is logged in with: a password, or a bearer token that is had for a refresh token (RFC 6749 section 6)."""

import time
from pathlib import Path

import httpx

from contracts.events import ChannelState
from contracts.settings import Channel, OAuth
from ingest.mailboxes.speak_imap import Login, MailboxTrouble

MARGIN = 60.0  # seconds before its end at which a token is renewed
LARGEST_ANSWER = 64 << 10  # octets of a token endpoint's answer
TIMEOUT = 20.0  # seconds


class LoginSource:
    """The login of one channel. Files are read anew each time, so that what was mended is used."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._token = ""
        self._until = 0.0

    def get(self) -> Login:
        """Blocks. MailboxTrouble where there is none."""
        oauth = self._channel.oauth
        if oauth is None:
            assert self._channel.password_file is not None
            return Login(_first_line(self._channel.password_file))
        if oauth.token_file is not None:
            return Login(_first_line(oauth.token_file), oauth.mechanism)
        if time.monotonic() >= self._until:
            self._renew(oauth)
        return Login(self._token, oauth.mechanism)

    def forget(self) -> None:
        """The server does not take the token: the next one is a new one."""
        self._until = 0.0

    def stamp(self) -> tuple[object, ...]:
        """Changes when a file of the login does."""
        oauth = self._channel.oauth
        files = [self._channel.password_file]
        files += [oauth.token_file, oauth.refresh_token_file, oauth.client_secret_file] if oauth else []
        return tuple(_stamp(path) for path in files if path is not None)

    def _renew(self, oauth: OAuth) -> None:
        assert oauth.token_url is not None and oauth.refresh_token_file is not None
        form = {"grant_type": "refresh_token", "refresh_token": _first_line(oauth.refresh_token_file)}
        form |= {"client_id": oauth.client_id} if oauth.client_id else {}
        form |= {"client_secret": _first_line(oauth.client_secret_file)} if oauth.client_secret_file else {}
        form |= {"scope": oauth.scope} if oauth.scope else {}
        try:
            code, octets = _post(oauth.token_url, form)
        except httpx.HTTPError as error:
            raise MailboxTrouble(ChannelState.CONNECTION_DROPPED, f"{oauth.token_url}: {error}") from error
        try:
            answer = httpx.Response(code, content=octets).json()
            token, lasts = answer["access_token"], float(answer.get("expires_in", 300))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            token, lasts = None, 0.0
        if code != 200 or not isinstance(token, str) or not token.isprintable():
            state = ChannelState.AUTH_FAILED if code in (400, 401, 403) else ChannelState.CONNECTION_DROPPED
            raise MailboxTrouble(state, f"{oauth.token_url} answered {code}: {_error_of(octets)}")
        self._token, self._until = token, time.monotonic() + max(0.0, lasts - MARGIN)


def _post(url: str, form: dict[str, str]) -> tuple[int, bytes]:
    """Redirects are not followed: the secrets are for this address."""
    with (
        httpx.Client(timeout=TIMEOUT, trust_env=False) as client,
        client.stream("POST", url, data=form, headers={"Accept-Encoding": "identity"}) as response,
    ):
        octets, until = b"", time.monotonic() + TIMEOUT
        for piece in response.iter_raw():
            octets += piece
            if len(octets) > LARGEST_ANSWER or time.monotonic() > until:
                break
        return response.status_code, octets


def _error_of(octets: bytes) -> str:
    """The error of RFC 6749 section 5.2, which names no secret; nothing else of the answer is shown."""
    try:
        answer = httpx.Response(400, content=octets).json()
        return str(answer["error"])[:100] if isinstance(answer, dict) and "error" in answer else "no error is named"
    except (ValueError, RecursionError):
        return "no JSON"


def _first_line(path: Path) -> str:
    try:
        line = path.read_text("utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MailboxTrouble(ChannelState.AUTH_FAILED, f"{path} cannot be read: {error}") from error
    if not line:
        raise MailboxTrouble(ChannelState.AUTH_FAILED, f"the first line of {path} is empty")
    return line


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    except OSError:
        return 0, 0
