"""How each stage's consumer group is doing, asked of the brokers: the same wherever its processes run."""

import time
from collections.abc import Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from contracts.errors import Unavailable
from contracts.stages import Group
from runtime.connect_kafka import Properties, admin, reader
from runtime.consume import read_records

TIMEOUT = 5.0  # seconds for each question
MOST_LOOKED_AT = 8  # partitions of a group whose oldest waiting record is looked at: those that are furthest behind


@dataclass(frozen=True)
class GroupState:
    """One group: how many processes are in it, and what waits for them."""

    members: int
    records: int  # that are not committed
    seconds: float  # for which the oldest of them has waited


def look_at_groups(kafka: Properties, groups: Iterable[Group]) -> dict[str, GroupState]:
    """The state of each group by its name; retry topics, whose records wait on purpose, aside. Unavailable when the brokers do not answer.
    Blocks, some ten milliseconds when nothing waits."""
    client = _Asker(kafka)
    wanted = {group.name: [topic for topic in group.topics if "*" not in topic] for group in groups}
    try:
        known = client.admin.list_topics(timeout=TIMEOUT).topics
        described = client.asked(client.admin.describe_consumer_groups(list(wanted), request_timeout=TIMEOUT))
        committed = {
            name: client.asked(
                client.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=TIMEOUT)
            )
            for name in wanted
        }
        places = [
            TopicPartition(topic, number)
            for topic in {topic for topics in wanted.values() for topic in topics}
            if topic in known
            for number in known[topic].partitions
        ]
        begins = _offsets(client, places, OffsetSpec.earliest())
        ends = _offsets(client, places, OffsetSpec.latest())
        found = {}
        behind: dict[str, list[tuple[int, str, int, int]]] = {}
        for name, topics in wanted.items():
            offsets = {
                (part.topic, part.partition): part.offset
                for future in committed[name].values()
                for part in future.result(TIMEOUT).topic_partitions
            }
            behind[name] = sorted(
                (
                    (end - begin, topic, number, begin)
                    for (topic, number), end in ends.items()
                    if topic in topics
                    and end > (begin := max(offsets.get((topic, number), -1), begins.get((topic, number), 0)))
                ),
                reverse=True,
            )
            members = len(described[name].result(TIMEOUT).members)
            found[name] = (members, sum(one[0] for one in behind[name]))
        waited = _oldest(kafka, behind)
    except (KafkaException, TimeoutError) as error:
        raise Unavailable("Kafka", str(error)) from error
    finally:
        client.wait()
    return {name: GroupState(members, records, waited[name]) for name, (members, records) in found.items()}


class _Asker:
    """A client, and what it was asked. One that goes while an answer is on its way takes the process with it (a segmentation fault of
    confluent-kafka 2, seen while partitions had no leader), so whoever gives up early waits for the other answers."""

    def __init__(self, kafka: Properties) -> None:
        self.admin = admin(kafka, quiet=True)
        self._futures: list[Future[Any]] = []

    def asked(self, futures: dict[Any, Future[Any]]) -> dict[Any, Future[Any]]:
        """Remember that these are on their way."""
        self._futures += futures.values()
        return futures

    def wait(self) -> None:
        """Until nothing is."""
        wait(self._futures, 2 * TIMEOUT)


def _offsets(client: _Asker, places: list[TopicPartition], spec: OffsetSpec) -> dict[tuple[str, int], int]:
    asked = client.asked(client.admin.list_offsets({place: spec for place in places}, request_timeout=TIMEOUT))
    return {(part.topic, part.partition): int(future.result(TIMEOUT).offset) for part, future in asked.items()}


def _oldest(kafka: Properties, behind: dict[str, list[tuple[int, str, int, int]]]) -> dict[str, float]:
    waited = dict.fromkeys(behind, 0.0)
    if not any(behind.values()):
        return waited
    consumer = reader(kafka, "oldest", fetch_wait_max_ms=50, queued_max_messages_kbytes=1024)
    try:
        for name, places in behind.items():
            for _, topic, number, begin in places[:MOST_LOOKED_AT]:
                consumer.assign([TopicPartition(topic, number, begin)])
                for record in read_records(consumer, 1, 2.0):
                    waited[name] = max(waited[name], time.time() - record.timestamp_ms / 1000)
    finally:
        consumer.close()
    return waited
