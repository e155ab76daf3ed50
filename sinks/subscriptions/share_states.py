"""How the subscribers are doing, in a compacted topic: the same for every process that calls them, and after a restart."""

from contracts import topics
from contracts.codec import HEADERS, decode, encode_subscriber_state
from contracts.records import Record
from contracts.subscriptions import SubscriberState
from runtime.connect_kafka import Properties
from runtime.follow_table import FollowedTable
from runtime.publish import Publisher

SOURCE = "mailscope/subscriptions"


def follow_states(kafka: Properties) -> FollowedTable[SubscriberState]:
    """The table, for who only wants to know."""
    return FollowedTable(kafka, topics.SUBSCRIPTIONS, lambda value: decode(value, SubscriberState))


class SubscriberStates:
    """By name of the subscription, followed from now on; close it."""

    def __init__(self, kafka: Properties, publisher: Publisher) -> None:
        self._publisher = publisher
        self._table = follow_states(kafka)

    async def ready(self, at_most: float) -> None:
        """Wait until all are known. Unavailable after `at_most` seconds."""
        await self._table.ready(at_most)

    def get(self, name: str) -> SubscriberState | None:
        """What is known of one; None before it was first called."""
        return self._table.get(name)

    async def put(self, state: SubscriberState) -> None:
        """Say how one is doing, and wait until this process knows what holds. Unavailable when Kafka does not answer."""
        record = Record(topics.SUBSCRIPTIONS, state.subscription, encode_subscriber_state(state, SOURCE), HEADERS)
        await self._table.read_up_to(await self._publisher.publish_at(record))

    async def close(self) -> None:
        """Stop following."""
        await self._table.close()
