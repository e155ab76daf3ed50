"""Times as the whole house writes them: UTC, RFC 3339, three decimals of a second."""

from datetime import UTC, datetime


def now() -> datetime:
    """This moment, cut to the millisecond, so that what is written is what was meant."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def from_ms(milliseconds: int) -> datetime:
    """The moment that lies so many milliseconds after 1970 UTC."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(microsecond=milliseconds % 1000 * 1000)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 UTC."""
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


def rfc3339(moment: datetime) -> str:
    """`2026-11-03T12:22:54.120Z` (RFC 3339)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def utc(moment: datetime) -> datetime:
    """The same time with its zone: one that names none, as those of the log store, is in UTC."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
