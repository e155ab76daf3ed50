"""A provider that is silent, endless, elsewhere or broken is given up in time; its keys are asked for again for one that is new."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from console import ask_provider
from console.ask_provider import Provider, ProviderTrouble
from contracts.login_settings import Oidc

Answer = Callable[[str, str, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _provider(answer: Answer) -> AsyncIterator[Provider]:
    """The provider at a server that answers (issuer, path) so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = (await reader.readuntil(b"\r\n\r\n")).decode()
            await answer(issuer, asked.split()[1], writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    roles: Any = [{"group": "a", "scopes": ["read"]}]
    yield Provider(Oidc(issuer=issuer, client_id="m", client_secret_file=Path("none"), roles=roles))
    server.close()


def _say(writer: asyncio.StreamWriter, status: str, body: bytes, *headers: str) -> None:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)


def _configuration(issuer: str) -> bytes:
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    return json.dumps({"issuer": issuer, **{name: f"{issuer}/{name}" for name in names}}).encode()


@pytest.mark.parametrize("kind", ["silent", "endless", "elsewhere", "no JSON", "a list", "another", "deep", "slow"])
async def test_a_provider_that_does_not_answer_well_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_provider, "SECONDS", 0.5)

    async def answer(issuer: str, path: str, writer: asyncio.StreamWriter) -> None:
        if kind == "silent":
            await asyncio.sleep(5)
        elif kind == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        elif kind == "slow":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(50):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.1)
        elif kind == "elsewhere":
            _say(writer, "302 Found", b"", "Location: http://127.0.0.1:1/")
        else:
            bodies = {
                "no JSON": b"<html>",
                "a list": b"[]",
                "another": _configuration("https://evil.example"),
                "deep": b"[" * 200_000,
            }
            _say(writer, "200 OK", bodies[kind])

    async with _provider(answer) as provider:
        with pytest.raises(ProviderTrouble):
            await provider.metadata()
        with pytest.raises(ProviderTrouble):
            await provider.keys()


async def test_its_keys_are_kept_and_asked_for_again_when_one_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    keys = [RSAKey.generate_key(2048, {"kid": "old"}).as_dict(private=False)]

    async def answer(issuer: str, path: str, writer: asyncio.StreamWriter) -> None:
        asked.append(path)
        known = path.endswith("configuration")
        _say(writer, "200 OK", _configuration(issuer) if known else json.dumps({"keys": keys}).encode())

    async with _provider(answer) as provider:
        for _ in range(3):
            assert [one.kid for one in (await provider.keys(without="old")).keys] == ["old"]
        assert asked == ["/.well-known/openid-configuration", "/jwks_uri"]
        keys.append(RSAKey.generate_key(2048, {"kid": "new"}).as_dict(private=False))
        assert (
            len((await provider.keys(without="new")).keys) == 1
        )  # who makes up ids has it asked no more often than this
        monkeypatch.setattr(ask_provider, "AGAIN", 0.0)
        assert len((await provider.keys(without="new")).keys) == 2
        assert asked[2:] == ["/jwks_uri"]
