"""The blob store for messages too large for a Kafka record: a folder (`file://`) or anything that speaks S3 (`s3://`)."""

import hashlib
import os
import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import from_url

from contracts import clock
from contracts.errors import ConfigurationError, InvalidEvent, Unavailable
from contracts.raw_message import Blob, Envelope
from contracts.settings import Settings

# A sender waits for the answer to its message while we wait for the store, and others wait for memory.
CLIENT = {"connect_timeout": "3s", "timeout": "30s"}
RETRY = {"max_retries": 2, "retry_timeout": timedelta(seconds=20)}
BLOB = re.compile(r"raw/\d{4}-\d\d-\d\d/[0-9a-f]{64}")  # nothing else in the store is ours to delete
MARKER = ".mailscope-blobs"  # in a folder that is a blob store


def open_blobs(settings: Settings) -> "BlobStore":
    """The blob store of this pipeline. ConfigurationError when it has to be given (`why_no_blobs`)."""
    if why := why_no_blobs(settings):
        raise ConfigurationError(why)
    return BlobStore(settings.blobs_url)


def why_no_blobs(settings: Settings) -> str:
    """Why the processes of this pipeline cannot keep large messages in a folder of theirs; empty when they can."""
    if settings.blobs.url or settings.kafka_is_local:
        return ""
    return (
        f"blobs.url: Kafka ({settings.kafka.bootstrap}) is not on this machine, so the processes of this pipeline share no data folder, "
        "and a large message that one keeps must be found by the others: name a bucket (s3://bucket/prefix) or a folder that all have"
    )


class BlobStore:
    """Blobs are named by the day and the SHA-256 of their octets: `raw/2026-11-03/<sha256>`. Writing one twice on a day is the
    same as writing it once, and what expires is never what is being written."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._marker: Path | None = None
        if self.url.startswith("file://"):
            folder = Path(urlsplit(self.url).path)
            folder.mkdir(parents=True, exist_ok=True)
            self._marker = folder / MARKER
            self._marker.touch()
        limits: dict[str, Any] = {}
        if self._marker is None:
            plain = os.environ.get(
                "AWS_ALLOW_HTTP", "false"
            )  # options that are given here replace those of the environment
            limits = {"client_options": {**CLIENT, "allow_http": plain.lower() == "true"}, "retry_config": RETRY}
        self._store = from_url(self.url, **limits)

    async def put(self, octets: bytes) -> Blob:
        """Hold the octets durably. Unavailable when the store does not take them."""
        digest = hashlib.sha256(octets).hexdigest()
        path = f"raw/{clock.now():%Y-%m-%d}/{digest}"
        try:
            await obstore.put_async(self._store, path, octets, use_multipart=False)  # whole or not at all
        except Exception as error:
            raise Unavailable("blob store", str(error)) from error
        return Blob(url=f"{self.url}/{path}", sha256=digest)

    async def get(self, blob: Blob) -> bytes:
        """The octets of a claim check. InvalidEvent when they are gone or changed, Unavailable when the store is."""
        try:
            result = await obstore.get_async(self._store, self._path(blob))
            octets = bytes(await result.bytes_async())
        except (NotFoundError, FileNotFoundError) as error:
            raise self._missing(blob) from error
        except Exception as error:
            raise Unavailable("blob store", str(error)) from error
        return _checked(blob, octets)

    def get_now(self, blob: Blob) -> bytes:
        """`get` for a thread."""
        try:
            octets = bytes(obstore.get(self._store, self._path(blob)).bytes())
        except (NotFoundError, FileNotFoundError) as error:
            raise self._missing(blob) from error
        except Exception as error:
            raise Unavailable("blob store", str(error)) from error
        return _checked(blob, octets)

    def expire(self, before: datetime) -> int:
        """Delete the blobs of the days before this moment's; how many. Unavailable when the store is away."""
        first = f"raw/{before:%Y-%m-%d}/"
        try:
            old = [
                str(entry["path"])
                for page in obstore.list(self._store, prefix="raw/")
                for entry in page
                if BLOB.fullmatch(str(entry["path"])) and str(entry["path"]) < first
            ]
            if old:
                obstore.delete(self._store, old)
        except Exception as error:
            raise Unavailable("blob store", str(error)) from error
        return len(old)

    def remove(self, blobs: Iterable[Blob]) -> None:
        """Delete these; one that is not there is no error. Unavailable when the store is away."""
        for blob in blobs:
            try:
                obstore.delete(self._store, self._path(blob))
            except (NotFoundError, FileNotFoundError):
                continue
            except Exception as error:
                raise Unavailable("blob store", str(error)) from error

    async def message(self, envelope: Envelope, value: bytes | None) -> bytes:
        """The octets of a message, wherever its record keeps them."""
        return (value or b"") if envelope.blob is None else await self.get(envelope.blob)

    def _missing(self, blob: Blob) -> InvalidEvent | Unavailable:
        """A blob that is not in the store is gone; a folder that is not there at all (a disk that is not mounted) is away."""
        if self._marker is not None and not self._marker.exists():
            return Unavailable("blob store", f"{self._marker.parent} is not what it was")
        return InvalidEvent("blob_missing", blob.url)

    def _path(self, blob: Blob) -> str:
        # The last three parts of the address, so that a store that was moved still finds its blobs.
        return "/".join(blob.url.rsplit("/", 3)[1:])


def _checked(blob: Blob, octets: bytes) -> bytes:
    if hashlib.sha256(octets).hexdigest() != blob.sha256:
        raise InvalidEvent("blob_changed", blob.url)
    return octets
