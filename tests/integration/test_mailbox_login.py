"""Logging in to a mailbox with a bearer token, on Debian's Dovecot: from a file, for a refresh token, and what goes wrong."""

import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.events import ChannelState
from contracts.setting_types import split_mailbox
from contracts.settings import Channel
from ingest.mailboxes.get_login import LoginSource
from ingest.mailboxes.speak_imap import Mailbox, MailboxTrouble
from tests.conftest import find_free_port
from tests.fakes.dovecot import DOVECOT, Dovecot


class TokenServer:
    """Gives tokens for a refresh token, and tells Dovecot whose a token is."""

    def __init__(self) -> None:
        outer = self
        self.asked: list[dict[str, str]] = []
        self.answer: tuple[int, bytes] | None = None

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                outer.asked.append(dict(urllib.parse.parse_qsl(body)))
                good = {"access_token": f"token-{len(outer.asked)}", "expires_in": 3600, "token_type": "Bearer"}
                self._send(*(outer.answer or (200, json.dumps(good).encode())))

            def do_GET(self) -> None:
                good = self.path.rpartition("=")[2].startswith("token-")
                self._send(200 if good else 401, b'{"user": "app"}' if good else b'{"error": "invalid_token"}')

            def _send(self, code: int, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    running = TokenServer()
    yield running
    running.stop()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, text in (("token", "token-file\n"), ("refresh", "refresh me\n"), ("secret", "shh\n"), ("empty", "\n")):
        (tmp_path / name).write_text(text)
    return tmp_path


def channel(port: int, **oauth: Any) -> Channel:
    return Channel.model_validate({"imap": f"imap://app@127.0.0.1:{port}", "oauth": oauth})


@pytest.mark.skipif(DOVECOT is None, reason="needs Debian's dovecot-imapd")
def test_a_bearer_token_opens_the_mailbox(tokens: TokenServer, files: Path) -> None:
    dovecot = Dovecot(find_free_port(), find_free_port(), f"{tokens.url}/?access_token=")
    try:
        dovecot.start()
        place = split_mailbox(f"imap://app@127.0.0.1:{dovecot.port}")
        for how in (
            {"token_file": files / "token"},
            {"token_file": files / "token", "mechanism": "OAUTHBEARER"},
            {"token_url": f"{tokens.url}/token", "refresh_token_file": files / "refresh"},
        ):
            box = Mailbox(place, None)
            assert box.open(LoginSource(channel(dovecot.port, **how)).get()).uid_validity
            box.close()
        (files / "token").write_text("another one\n")
        box = Mailbox(place, None)
        with pytest.raises(MailboxTrouble) as caught:
            box.open(LoginSource(channel(dovecot.port, token_file=files / "token")).get())
        assert caught.value.state is ChannelState.AUTH_FAILED and "another" not in caught.value.detail
        box.close()
    finally:
        dovecot.close()


def test_a_token_is_kept_until_its_end_or_until_it_is_refused(tokens: TokenServer, files: Path) -> None:
    how = {"token_url": f"{tokens.url}/token", "refresh_token_file": files / "refresh", "client_id": "us",
           "client_secret_file": files / "secret", "scope": "imap"}  # fmt: skip
    source = LoginSource(channel(1, **how))
    assert source.get().secret == source.get().secret == "token-1" and source.get().mechanism == "XOAUTH2"
    source.forget()
    assert source.get().secret == "token-2"
    assert tokens.asked[0] == {
        "grant_type": "refresh_token", "refresh_token": "refresh me", "client_id": "us", "client_secret": "shh", "scope": "imap",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "body", "state"),
    [
        (400, b'{"error": "invalid_grant", "error_description": "refresh me"}', ChannelState.AUTH_FAILED),
        (503, b"busy", ChannelState.CONNECTION_DROPPED),
        (200, b"{}", ChannelState.CONNECTION_DROPPED),
        (200, b'{"access_token": "a\\u0001b"}', ChannelState.CONNECTION_DROPPED),
        (200, b"[" * 60_000, ChannelState.CONNECTION_DROPPED),
        (200, b"x" * 200_000, ChannelState.CONNECTION_DROPPED),
    ],
)
def test_an_endpoint_that_gives_no_token_is_told_without_secrets(
    tokens: TokenServer, files: Path, code: int, body: bytes, state: ChannelState
) -> None:
    tokens.answer = (code, body)
    source = LoginSource(channel(1, token_url=f"{tokens.url}/token", refresh_token_file=files / "refresh"))
    with pytest.raises(MailboxTrouble) as caught:
        source.get()
    assert caught.value.state is state and "refresh me" not in caught.value.detail


def test_a_file_that_is_not_there_or_empty_is_a_log_in_that_failed(files: Path) -> None:
    for name in ("empty", "nothing"):
        with pytest.raises(MailboxTrouble) as caught:
            LoginSource(channel(1, token_file=files / name)).get()
        assert caught.value.state is ChannelState.AUTH_FAILED and name in caught.value.detail


def test_a_file_that_is_mended_is_noticed(files: Path) -> None:
    source = LoginSource(channel(1, token_file=files / "token"))
    before = source.stamp()
    (files / "token").write_text("a longer token\n")
    assert source.stamp() != before
