"""An address list that several processes change, in a compacted topic: the suppression list, and what recipients wish.

A record holds all changes of its address. Who adds one writes what it knows and the change, reads up to its own record, and writes once
more where another process wrote in between: no change is lost, whoever writes at once. Where it is killed before that, whoever changes
the address next does it, also by what is known already. Memory: about a kilobyte for each address.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct

from contracts import topics
from contracts.changes import Change, key_of
from contracts.codec import HEADERS, decode, encode_preference, encode_suppression
from contracts.errors import Unavailable
from contracts.preferences import Preference, PreferenceChange, merge_preferences, preference_of
from contracts.records import Record
from contracts.suppressions import Suppression, SuppressionChange, merge_suppressions, suppression_of
from runtime.connect_kafka import Properties
from runtime.follow_table import DEADLINE, FollowedTable
from runtime.publish import Publisher

TRIES = 10  # of a change while others write the same address

Entry = TypeVar("Entry", bound=Struct)
OneChange = TypeVar("OneChange", bound=Change)


class SharedList(Generic[Entry, OneChange]):
    """The list as this process knows it, and the way to change it."""

    def __init__(
        self,
        kafka: Properties,
        topic: str,
        decode_entry: Callable[[bytes], Entry],
        encode_entry: Callable[[Entry, str], bytes],
        merge: Callable[[Entry, Entry], Entry],
        fold: Callable[[str, list[OneChange]], Entry],
    ) -> None:
        self._topic = topic
        self._encode = encode_entry
        self._merge = merge
        self._fold = fold
        self._table = FollowedTable(kafka, topic, decode_entry, merge)

    @property
    def why_not_ready(self) -> str:
        """Empty once the list is complete."""
        return self._table.why_not_ready

    def get(self, address: str) -> Entry | None:
        """What is known of an address; None when nothing."""
        return self._table.get(key_of(address))

    def snapshot(self) -> dict[str, Entry]:
        """The whole list, by address."""
        return self._table.snapshot()

    async def ready(self, at_most: float = DEADLINE) -> None:
        """Wait until the list is complete. Unavailable after `at_most` seconds."""
        await self._table.ready(at_most)

    async def catch_up(self) -> None:
        """Wait until all is known that was written before. Unavailable when Kafka does not answer."""
        await self._table.catch_up()

    async def change(self, publisher: Publisher, address: str, change: OneChange, source: str) -> Entry:
        """Add a change; what holds after it. A change that is known already adds nothing. Unavailable when Kafka does not take it."""
        await self._table.ready()
        key = key_of(address)
        wanted = self._fold(key, [change])
        for _ in range(TRIES):
            known = self._table.get(key)
            written = wanted if known is None else self._merge(known, wanted)
            if written == known and not self._table.is_torn(key):
                return written
            record = Record(self._topic, key, self._encode(written, source), HEADERS)
            await self._table.read_up_to(await publisher.publish_at(record))
            if self._table.get(key) == written:
                return written
        raise Unavailable("Kafka", f"{address} is being changed by too many at once")

    async def replace(self, publisher: Publisher, address: str, entry: Entry | None, source: str) -> None:
        """Forget all that is known of an address, and put this in its place: what every reader has merged so far goes with the tombstone
        before it. A change that another process makes at this moment may bring its history back. Unavailable without Kafka."""
        key = key_of(address)
        # One after the other in one batch: nobody reads far between them.
        places = [publisher.publish_at(Record(self._topic, key, None, []))]
        if entry is not None:
            places.append(publisher.publish_at(Record(self._topic, key, self._encode(entry, source), HEADERS)))
        for place in await asyncio.gather(*places):
            await self._table.read_up_to(place)

    async def close(self) -> None:
        """Stop following."""
        await self._table.close()


Suppressions = SharedList[Suppression, SuppressionChange]
Preferences = SharedList[Preference, PreferenceChange]


def follow_suppressions(kafka: Properties) -> Suppressions:
    """The suppression list, followed from now on; close it."""
    return SharedList(
        kafka,
        topics.SUPPRESSIONS,
        lambda value: decode(value, Suppression),
        encode_suppression,
        merge_suppressions,
        suppression_of,
    )


def follow_preferences(kafka: Properties) -> Preferences:
    """What recipients wish, followed from now on; close it."""
    return SharedList(
        kafka,
        topics.PREFERENCES,
        lambda value: decode(value, Preference),
        encode_preference,
        merge_preferences,
        preference_of,
    )
