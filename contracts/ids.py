"""Names of things: a mail's id is given once at ingest; an event's id follows from what it says."""

import uuid

import uuid6

EVENT_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://mailscope.dev/event")


def new_mail_id() -> str:
    """A UUIDv7 (RFC 9562 section 5.7): sorts by the time of ingest, in milliseconds."""
    return str(uuid6.uuid7())


def event_id(mail_id: str, recipient: str, event_type: str, attempt: int) -> str:
    """UUIDv5 of (mail_id, recipient, type, attempt): the same input gives the same id, so a replay adds nothing."""
    return str(uuid.uuid5(EVENT_NAMESPACE, f"{mail_id}\x00{recipient}\x00{event_type}\x00{attempt}"))


def received_ms(mail_id: str) -> int:
    """The time of ingest held in a mail id, in milliseconds since 1970 UTC. ValueError when it is not a UUIDv7."""
    parsed = uuid.UUID(mail_id)
    if parsed.version != 7:
        raise ValueError(f"not a UUIDv7: {mail_id}")
    return parsed.int >> 80
