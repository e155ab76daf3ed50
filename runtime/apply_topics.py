"""Create the topics that are missing and set the configuration of those that exist (`mailscope topics apply`)."""

import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
    TopicMetadata,
)

from contracts.errors import Unavailable
from contracts.settings import Settings
from contracts.topics import Topic, all_topics
from runtime.connect_kafka import admin


def topic_config(topic: Topic, replicas: int) -> dict[str, str]:
    """Kafka's configuration of a topic with so many replicas. An acknowledgement means that all of them but one have it; with more than
    there are nothing could be written."""
    return {**topic.config, "min.insync.replicas": str(max(1, replicas - 1))}


def pipeline_topics(settings: Settings) -> list[Topic]:
    """The topics that these settings ask for."""
    return all_topics(settings.delivery.retry_names, settings.delivery.expire, settings.store.retention)


def apply_topics(settings: Settings, timeout: float = 30.0) -> list[str]:
    """Make the topics as declared; one sentence for each thing done. Never deletes, never takes partitions away.
    Unavailable when the brokers do not answer within `timeout` seconds."""
    client = admin(settings.kafka_client)
    wanted = pipeline_topics(settings)
    try:
        present = client.list_topics(timeout=timeout).topics
        done = _create(client, [topic for topic in wanted if topic.name not in present], settings, timeout)
        old = [topic for topic in wanted if topic.name in present]
        for topic in old:
            # A table's keys would move, and what they said before would stay behind in the partition where they were.
            if len(present[topic.name].partitions) < settings.kafka.partitions and not topic.compacted:
                futures = client.create_partitions([NewPartitions(topic.name, settings.kafka.partitions)])
                futures[topic.name].result(timeout)
                done.append(f"{topic.name}: grown to {settings.kafka.partitions} partitions")
            if (replicas := _replicas(present[topic.name])) != settings.kafka.replication:
                done.append(
                    f"{topic.name}: stays at {replicas} replicas, where kafka.replication is {settings.kafka.replication}: "
                    "kafka-reassign-partitions.sh changes that (docs/operations/kafka.md)"
                )
        if old:
            resources = [
                ConfigResource(
                    ResourceType.TOPIC,
                    topic.name,
                    incremental_configs=[
                        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                        for name, value in topic_config(topic, _replicas(present[topic.name])).items()
                    ],
                )
                for topic in old
            ]
            for future in client.incremental_alter_configs(resources).values():
                future.result(timeout)
    except KafkaException as error:
        raise Unavailable("Kafka", str(error)) from error
    _wait_until_known(client, wanted, settings.kafka.partitions, timeout)
    return done


def _replicas(topic: TopicMetadata) -> int:
    """The replicas that every partition of the topic has."""
    return min((len(one.replicas) for one in topic.partitions.values()), default=1)


def _create(client: AdminClient, topics: list[Topic], settings: Settings, timeout: float) -> list[str]:
    if not topics:
        return []
    futures = client.create_topics(
        [
            NewTopic(
                topic.name,
                num_partitions=settings.kafka.partitions,
                replication_factor=settings.kafka.replication,
                config=topic_config(topic, settings.kafka.replication),
            )
            for topic in topics
        ]
    )
    for future in futures.values():
        future.result(timeout)
    return [f"{topic.name}: created with {settings.kafka.partitions} partitions" for topic in topics]


def _wait_until_known(client: AdminClient, topics: list[Topic], partitions: int, timeout: float) -> None:
    """Brokers follow their controller within a moment: who starts stages next shall find what was said to be done."""
    deadline = time.monotonic() + timeout

    def known(topic: Topic, found: TopicMetadata | None) -> bool:
        return found is not None and found.error is None and (topic.compacted or len(found.partitions) >= partitions)

    while True:
        present = client.list_topics(timeout=timeout).topics
        if all(known(topic, present.get(topic.name)) for topic in topics):
            return
        if time.monotonic() > deadline:
            raise Unavailable("Kafka", "the new topics or partitions are not known to its brokers yet")
        time.sleep(0.1)
