"""Names of things: a mail's id is given once at ingest; an event's id follows from what it says."""

import hashlib
import secrets
import threading
import time
import uuid
from datetime import datetime

from contracts.clock import to_ms

EVENT_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://mailscope.dev/event")


_lock = threading.Lock()
_last = 0


def new_mail_id() -> str:
    """A UUIDv7 (RFC 9562 section 5.7): sorts by the time of ingest, in milliseconds; within one by 1/4096 of it (section 6.2,
    method 3), so that however many come at once, the time inside is never ahead of the clock by more than they took."""
    global _last
    nanoseconds = time.time_ns()
    with _lock:
        _last = moment = max(_last + 1, nanoseconds // 1_000_000 << 12 | (nanoseconds % 1_000_000 << 12) // 1_000_000)
    return str(uuid.UUID(int=moment >> 12 << 80 | 7 << 76 | (moment & 0xFFF) << 64 | 2 << 62 | secrets.randbits(62)))


def derived_mail_id(moment: datetime, seed: str) -> str:
    """The id of a mail that follows from something: the same moment and seed give the same UUIDv7, so a replay sends no second one."""
    digest = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:10], "big")
    rest = (7 << 76) | (digest >> 68 & 0xFFF) << 64 | 2 << 62 | digest & (1 << 62) - 1
    return str(uuid.UUID(int=to_ms(moment) << 80 | rest))


def event_id(mail_id: str, recipient: str, event_type: str, attempt: int) -> str:
    """UUIDv5 of (mail_id, recipient, type, attempt): the same input gives the same id, so a replay adds nothing."""
    return str(uuid.uuid5(EVENT_NAMESPACE, f"{mail_id}\x00{recipient}\x00{event_type}\x00{attempt}"))


def received_ms(mail_id: str) -> int:
    """The time of ingest held in a mail id, in milliseconds since 1970 UTC. ValueError when it is not a UUIDv7."""
    parsed = uuid.UUID(mail_id)
    if parsed.version != 7:
        raise ValueError(f"not a UUIDv7: {mail_id}")
    return parsed.int >> 80
