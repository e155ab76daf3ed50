"""Blobs on a server that speaks S3: kept, found, expired, removed; and a server that is away or silent."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

import runtime.blobs
from contracts import clock
from contracts.errors import InvalidEvent, Unavailable
from contracts.raw_message import Blob
from runtime.blobs import BlobStore
from tests.fakes.s3_server import S3Server

OCTETS = b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 300_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    running = S3Server(tmp_path_factory.mktemp("s3"))
    yield running.start()
    running.stop()


@pytest.fixture
def blobs(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> BlobStore:
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    return BlobStore(server.url)


async def test_what_was_put_is_there_once_until_it_is_removed(server: S3Server, blobs: BlobStore) -> None:
    first, second = await asyncio.gather(blobs.put(OCTETS), blobs.put(OCTETS))
    assert first == second and first.url.startswith(f"{server.url}/raw/") and len(server.files()) == 1
    assert await blobs.get(first) == OCTETS and blobs.get_now(first) == OCTETS
    with pytest.raises(InvalidEvent, match="blob_changed"):
        await blobs.get(Blob(url=first.url, sha256="0" * 64))
    blobs.expire(clock.now() - timedelta(days=1))
    assert len(server.files()) == 1, "of today"
    blobs.remove([first, first])
    assert server.files() == []
    with pytest.raises(InvalidEvent, match="blob_missing"):
        await blobs.get(first)


async def test_what_is_old_is_deleted(server: S3Server, blobs: BlobStore) -> None:
    await blobs.put(OCTETS)
    blobs.expire(clock.now() + timedelta(days=1))
    assert server.files() == []


async def test_a_server_that_is_away_is_unavailable_and_heals(server: S3Server, blobs: BlobStore) -> None:
    kept = await blobs.put(OCTETS)
    server.stop()
    with pytest.raises(Unavailable, match="blob store"):
        await blobs.put(OCTETS)
    server.start()
    assert await blobs.get(kept) == OCTETS


async def test_a_server_that_is_silent_is_waited_for_no_longer_than_a_sender_waits(
    server: S3Server, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.blobs, "CLIENT", {"connect_timeout": "1s", "timeout": "1s"})
    hasty = BlobStore(server.url)
    server.freeze(True)
    try:
        async with asyncio.timeout(120):  # without a limit it is tried for three minutes, ten times over
            with pytest.raises(Unavailable, match="blob store"):
                await hasty.put(OCTETS)
    finally:
        server.freeze(False)
    assert await blobs.put(OCTETS)


async def test_a_wrong_key_is_told(server: S3Server, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")
    with pytest.raises(Unavailable, match=r"403"):
        await BlobStore(server.url).put(OCTETS)
