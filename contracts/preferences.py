"""What recipients wish: no mail at all (`private`), or none of some streams (topic `mail.preferences`, key: the address)."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct, field

from contracts.changes import Change, key_of, unite

EVERY_STREAM = "*"


class PreferenceChange(Change, frozen=True, kw_only=True):
    """`set` (by a person, to exactly this), `unsubscribed` (of these streams as well), `deleted`."""

    private: bool = False
    streams: list[str] = field(default_factory=list)


class Preference(Struct, frozen=True, kw_only=True):
    """What holds for one address, and how it came about."""

    address: str
    private: bool
    unsubscribed: list[str]  # streams, sorted; `*` is every stream
    updated_at: datetime
    changes: list[PreferenceChange]  # oldest first

    def declines(self, stream: str) -> bool:
        """Whether the recipient has unsubscribed from this stream of mail."""
        return EVERY_STREAM in self.unsubscribed or (bool(stream) and stream in self.unsubscribed)


def preference_of(address: str, *changes: Iterable[PreferenceChange]) -> Preference:
    """What these changes amount to. ValueError when there is none."""
    united = unite(*changes)
    if not united:
        raise ValueError("an address without a change has no preference")
    private, streams = False, set[str]()
    for change in united:
        if change.action == "unsubscribed":
            streams |= set(change.streams)
        else:
            private = change.private
            streams = set(change.streams)
    return Preference(
        address=key_of(address),
        private=private,
        unsubscribed=sorted(streams),
        updated_at=united[-1].at,
        changes=united,
    )


def merge_preferences(one: Preference, other: Preference) -> Preference:
    """Both lists of changes united."""
    return preference_of(one.address, one.changes, other.changes)
