"""Addresses that were erased on request (GDPR Article 17), for the topic `mail.erasures` (key: `digest_of` the address).

The record outlives what was erased, so that no rebuild, replay or late bounce brings it back; it must therefore not name the address. It
does so only from the request until the sink has done it.
"""

import hashlib
import hmac
from datetime import datetime

from msgspec import Struct

from contracts.changes import key_of

ERASED = "[erased]"  # what stands where the address stood, in what is kept of other people's mail


class Erased(Struct, frozen=True, kw_only=True):
    """What was erased from the log store."""

    mails: int = 0  # mails that were for or from the address
    rows: int = 0  # their rows of the log, one a recipient
    messages: int = 0  # messages, of these mails and of those whose header named it
    blobs: int = 0  # of these, how many lay in the blob store
    redacted: int = 0  # events of other mail in which the address was replaced
    dead_letters: int = 0
    audit_entries: int = 0  # in which the address was replaced


class Erasure(Struct, frozen=True, kw_only=True):
    """One request: mail that had come by `asked_at` is erased, mail that comes later is not."""

    digest: str  # the key of the record
    asked_at: datetime
    by: str  # name of the token
    address: str = ""  # until it is done
    done_at: datetime | None = None  # null: the sink has not finished
    erased: Erased | None = None


def digest_of(secret: bytes, address: str) -> str:
    """How an erased address is known again without being kept: HMAC-SHA256 under the pipeline's secret, so that who reads the topic
    cannot try addresses."""
    return hmac.new(secret, b"erasure\0" + key_of(address).encode(), hashlib.sha256).hexdigest()
