"""Until when Kafka holds what was written by now, topic by topic: from the brokers' own settings and the newest record of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from contracts import clock
from contracts.errors import Unavailable
from runtime.connect_kafka import Properties, admin

TIMEOUT = 10.0  # seconds
_TIMES = ("retention.ms", "segment.ms", "max.compaction.lag.ms")


@dataclass(frozen=True)
class Held:
    """A topic that may hold records of before. They are gone at the latest at `until`, when the brokers delete in time; None: never."""

    topic: str
    until: datetime | None
    compacted: bool  # what was written over goes by then, the last record of a key stays


def tell_retention(kafka: Properties, topics: Iterable[str]) -> list[Held]:
    """The topics among these that hold anything. Unavailable when the brokers do not answer. For a thread."""
    client = admin(kafka)
    try:
        known = client.list_topics(timeout=TIMEOUT).topics
        names = [name for name in topics if name in known]
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        configs = {
            resource.name: future.result(TIMEOUT) for resource, future in client.describe_configs(resources).items()
        }
        newest = {name: _newest(client, name, list(known[name].partitions)) for name in names}
    except KafkaException as error:
        raise Unavailable("Kafka", str(error)) from error
    held = []
    for name in names:
        at = newest[name]
        if at is not None:
            settings = {key: entry.value for key, entry in configs[name].items()}
            held.append(Held(name, held_until(settings, at), "compact" in settings["cleanup.policy"]))
    return held


def held_until(settings: dict[str, str], newest: datetime) -> datetime | None:
    """When a record of this time is gone at the latest. A segment is deleted whole, by its newest record; it is closed by its age."""
    retention, segment, lag = (int(settings[name]) for name in _TIMES)
    policy = settings["cleanup.policy"].split(",")
    kept = retention + segment if "delete" in policy else lag
    try:
        return newest + timedelta(milliseconds=kept) if kept >= 0 and retention >= 0 else None
    except OverflowError:  # the largest number: never
        return None


def _newest(client: AdminClient, topic: str, partitions: list[int]) -> datetime | None:
    """The time of the newest record; None when there is none."""
    wanted = {TopicPartition(topic, number): OffsetSpec.max_timestamp() for number in partitions}
    found = [future.result(TIMEOUT) for future in client.list_offsets(wanted).values()]
    times = [one.timestamp for one in found if one.offset >= 0]
    return clock.from_ms(max(times)) if times else None
