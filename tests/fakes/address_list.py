"""A list of addresses without Kafka: one process, and so no two writers."""

from typing import Any

from contracts.changes import key_of
from contracts.preferences import Preference, PreferenceChange, merge_preferences, preference_of
from contracts.suppressions import Suppression, SuppressionChange, merge_suppressions, suppression_of


class SuppressionList:
    """What `runtime.shared_list.Suppressions` does, in memory."""

    def __init__(self) -> None:
        self.entries: dict[str, Suppression] = {}

    def get(self, address: str) -> Suppression | None:
        return self.entries.get(key_of(address))

    def snapshot(self) -> dict[str, Suppression]:
        return dict(self.entries)

    async def ready(self, at_most: float = 0) -> None:
        pass

    async def change(self, publisher: Any, address: str, change: SuppressionChange, source: str) -> Suppression:
        return self.put(address, change)

    def put(self, address: str, change: SuppressionChange) -> Suppression:
        key = key_of(address)
        wanted, known = suppression_of(key, [change]), self.entries.get(key)
        self.entries[key] = wanted if known is None else merge_suppressions(known, wanted)
        return self.entries[key]


class PreferenceList:
    """What `runtime.shared_list.Preferences` does, in memory."""

    def __init__(self) -> None:
        self.entries: dict[str, Preference] = {}

    def get(self, address: str) -> Preference | None:
        return self.entries.get(key_of(address))

    async def ready(self, at_most: float = 0) -> None:
        pass

    async def change(self, publisher: Any, address: str, change: PreferenceChange, source: str) -> Preference:
        key = key_of(address)
        wanted, known = preference_of(key, [change]), self.entries.get(key)
        self.entries[key] = wanted if known is None else merge_preferences(known, wanted)
        return self.entries[key]
