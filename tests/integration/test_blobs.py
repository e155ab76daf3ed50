"""Large messages in a folder: held before they are promised, checked when they are read, gone when their time is over."""

import shutil
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from contracts import clock
from contracts.errors import InvalidEvent, Unavailable
from contracts.raw_message import Envelope, RawType
from contracts.statuses import Direction
from runtime.blobs import BlobStore

OCTETS = bytes(range(256)) * 2000


async def test_what_was_put_comes_back_octet_for_octet_also_from_a_store_that_was_moved(tmp_path: Path) -> None:
    blob = await BlobStore(f"file://{tmp_path}/a").put(OCTETS)
    assert await BlobStore(f"file://{tmp_path}/a/").get(blob) == OCTETS
    (tmp_path / "a").rename(tmp_path / "b")
    moved = BlobStore(f"file://{tmp_path}/b")
    assert moved.get_now(blob) == OCTETS
    envelope = Envelope(
        mail_id="m",
        type=RawType.ACCEPTED,
        direction=Direction.INBOUND,
        received_at=clock.now(),
        envelope_from="",
        recipients=[],
        blob=blob,
    )
    assert await moved.message(envelope, b"") == OCTETS
    assert await moved.message(msgspec.structs.replace(envelope, blob=None), b"in the record") == b"in the record"


async def test_the_same_octets_are_kept_once(tmp_path: Path) -> None:
    store = BlobStore(f"file://{tmp_path}")
    assert await store.put(OCTETS) == await store.put(OCTETS)
    assert len([path for path in (tmp_path / "raw").rglob("*") if path.is_file()]) == 1


async def test_a_blob_that_is_gone_or_changed_is_never_used(tmp_path: Path) -> None:
    store = BlobStore(f"file://{tmp_path}")
    blob = await store.put(OCTETS)
    (file,) = [path for path in (tmp_path / "raw").rglob("*") if path.is_file()]
    file.write_bytes(OCTETS[:-1])
    for read in (store.get, _now(store)):
        with pytest.raises(InvalidEvent, match="blob_changed"):
            await read(blob)
    file.unlink()
    for read in (store.get, _now(store)):
        with pytest.raises(InvalidEvent, match="blob_missing"):
            await read(blob)


def _now(store: BlobStore):  # type: ignore[no-untyped-def]
    async def read(blob):  # type: ignore[no-untyped-def]
        return store.get_now(blob)

    return read


async def test_a_store_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    store = BlobStore(f"file://{tmp_path}/blobs")
    shutil.rmtree(tmp_path / "blobs")
    (tmp_path / "blobs").write_text("a file where the folder was")
    with pytest.raises(Unavailable, match="blob store"):
        await store.put(OCTETS)


async def test_a_folder_that_is_not_there_is_away_and_its_blobs_are_not_gone(tmp_path: Path) -> None:
    """A disk that is not mounted: what waits for it must wait, and not be put aside."""
    store = BlobStore(f"file://{tmp_path}/blobs")
    blob = await store.put(OCTETS)
    (tmp_path / "blobs").rename(tmp_path / "elsewhere")
    (tmp_path / "blobs").mkdir()
    for read in (store.get, _now(store)):
        with pytest.raises(Unavailable, match="blob store"):
            await read(blob)
    (tmp_path / "blobs").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "blobs")
    assert await store.get(blob) == OCTETS


async def test_only_what_is_old_expires(tmp_path: Path) -> None:
    store = BlobStore(f"file://{tmp_path}")
    blob = await store.put(OCTETS)
    old = tmp_path / "raw" / "2020-01-02" / blob.sha256
    old.parent.mkdir(parents=True)
    old.write_bytes(OCTETS)
    assert store.expire(clock.now() - timedelta(days=1)) == 1
    assert not old.exists() and await store.get(blob) == OCTETS
    assert store.expire(clock.now()) == 0 and await store.get(blob) == OCTETS
