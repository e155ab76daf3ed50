"""What a webhook's answer means, over real HTTP."""

import asyncio
import base64
import contextlib
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from contracts.events import Attempt
from contracts.settings import Handler
from sinks.handlers.call_handler import MAX_ANSWER, Called
from tests.fakes.serve_streams import serving

SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
MAIL = {"mail_id": "m1", "recipient": "desk@ours.test", "subject": "Grüße", "attachments": []}


class Server:
    """Answers every request with these octets; remembers what it heard."""

    def __init__(self, answer: bytes, wait: float) -> None:
        self.answer = answer
        self.wait = wait
        self.heard: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head.split("\r\n")[1:])}
            self.heard.append((headers, await reader.readexactly(int(headers.get("content-length", 0)))))
            await asyncio.sleep(self.wait)
            writer.write(self.answer)
            await writer.drain()


def http(status: int, body: object = b"", head: str = "") -> bytes:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status} X\r\n{head}Content-Length: {len(octets)}\r\nConnection: close\r\n\r\n".encode() + octets


@contextlib.asynccontextmanager
async def answering(answer: bytes, wait: float = 0) -> AsyncIterator[Server]:
    server = Server(answer, wait)
    async with serving(server.serve) as port:
        server.url = f"http://127.0.0.1:{port}/mail"
        yield server


async def call(number: int = 1, **handler: Any) -> Attempt:
    called = Called("desk", Handler.model_validate({"timeout": "5s", **handler}))
    async with httpx.AsyncClient(follow_redirects=False, timeout=None, trust_env=False) as client:
        return await called.call(client, MAIL, number)


PROCESSED = {"status": "processed", "reference": "IT-42"}


@pytest.mark.parametrize(
    ("answer", "outcome", "code", "text"),
    [
        (http(200, PROCESSED), "accepted", 200, ""),
        (http(200, {"status": "processed"}), "accepted", 200, ""),
        (http(200, {"status": "skipped", "reason": "not for us"}), "skipped", 200, "not for us"),
        (http(200, {"status": "skipped"}), "skipped", 200, "the handler gave no reason"),
        (http(200, {"status": "failed", "reason": "no field"}), "permanent", 200, "no field"),
        (http(200, {"status": "maybe"}), "permanent", 200, "no status processed"),
        (http(200, []), "permanent", 200, "no status processed"),
        (http(200, b"<html>"), "permanent", 200, "<html>"),
        (http(200, b"\xff\xfe"), "permanent", 200, "no status processed"),
        (http(200, b""), "permanent", 200, "no status processed"),
        (http(204), "permanent", 204, "204"),
        (http(200, b"[" * 60_000), "permanent", 200, "no status processed"),  # deeper than it is read
        (http(404, b"nothing here"), "permanent", 404, "nothing here"),
        (http(401), "permanent", 401, "401"),
        (http(429, b"slow down"), "temporary", 429, "slow down"),
        (http(500, b"oops"), "temporary", 500, "oops"),
        (http(503), "temporary", 503, ""),
        (b"not http\r\n\r\n", "temporary", 0, "RemoteProtocolError"),
        (b"", "temporary", 0, "RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "temporary", 0, "RemoteProtocolError"),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_an_answer_has_one_meaning(answer: bytes, outcome: str, code: int, text: str) -> None:
    async with answering(answer) as server:
        attempt = await call(webhook=server.url)
    assert (attempt.outcome, attempt.code, attempt.target, attempt.command) == (outcome, code, "desk", "POST")
    assert text in attempt.text and len(server.heard) == 1


async def test_the_key_that_a_handler_gives_is_kept() -> None:
    async with answering(http(200, PROCESSED)) as server:
        attempt = await call(webhook=server.url, number=3)
    assert (attempt.reference, attempt.number, attempt.host) == ("IT-42", 3, "127.0.0.1")


async def test_a_handlers_words_are_lines_that_can_be_stored() -> None:
    said = {"status": "processed", "reference": "IT-\ud800\r\n42\x00", "reason": "\x1b[31ma\u2028b"}
    async with answering(http(200, said)) as server:
        attempt = await call(webhook=server.url)
    assert (attempt.reference, attempt.text) == ("IT-?  42", "[31ma b")


async def test_a_compressed_answer_is_not_unpacked() -> None:
    """Compressed twice, some hundred octets stand for 100 MB."""
    bomb = gzip.compress(gzip.compress(b" " * 100_000_000))
    tracemalloc.start()
    try:
        async with answering(http(200, bomb, "Content-Encoding: gzip, gzip\r\n")) as server:
            attempt = await call(webhook=server.url)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert attempt.outcome == "permanent" and server.heard[0][0]["accept-encoding"] == "identity"


async def test_a_redirect_is_not_followed() -> None:
    async with answering(http(200, PROCESSED)) as other:
        async with answering(http(302, b"", f"Location: {other.url}\r\n")) as server:
            attempt = await call(webhook=server.url)
        assert attempt.outcome == "permanent" and attempt.code == 302 and not other.heard


async def test_silence_and_absence_are_tried_again() -> None:
    async with answering(http(200, PROCESSED), wait=5) as server:
        attempt = await call(webhook=server.url, timeout="100ms")
        assert attempt.outcome == "temporary" and attempt.text == "no answer within 0.1 s"
        url = server.url
    attempt = await call(webhook=url)
    assert attempt.outcome == "temporary" and attempt.code == 0 and "ConnectError" in attempt.text


async def test_a_call_is_signed_and_every_retry_has_the_same_id() -> None:
    async with answering(http(200, PROCESSED)) as server:
        await call(webhook=server.url, secret=SECRET)
        await call(webhook=server.url, secret=SECRET, number=2)
    (first, body), (second, _) = server.heard
    assert first["webhook-id"] == second["webhook-id"]
    assert Webhook(SECRET).verify(body, first) == MAIL
    with pytest.raises(Exception, match="signature"):
        Webhook(SECRET).verify(body + b" ", first)


async def test_an_answer_without_end_is_read_no_further_than_needed() -> None:
    async with answering(http(200, b'{"status": "processed", "x": "' + b"x" * (MAX_ANSWER * 40))) as server:
        attempt = await call(webhook=server.url)
    assert attempt.outcome == "permanent" and len(attempt.text) < 1000
