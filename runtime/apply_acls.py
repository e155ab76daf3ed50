"""The rights of `contracts/acls.py` in the forms in which Kafka is given them: by its admin API, by `kafka-acls.sh`, by Strimzi."""

from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from contracts.acls import Right, principal, users
from contracts.errors import Unavailable
from contracts.settings import Settings
from contracts.topics import Topic
from runtime.apply_topics import topic_config
from runtime.connect_kafka import admin


def apply_acls(settings: Settings, timeout: float = 30.0) -> list[str]:
    """Give every user its rights; one sentence for each user. Takes none away. Unavailable when the brokers do not answer or refuse."""
    bindings = [
        AclBinding(
            ResourceType[right.kind.upper()],
            right.name,
            ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL,
            f"User:{principal(user)}",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for user, rights in users().items()
        for right in rights
        for operation in right.operations
    ]
    client = admin(settings.kafka_client)  # who lets go of it gets no answer
    try:
        for future in client.create_acls(bindings, request_timeout=timeout).values():
            future.result(timeout)
    except (KafkaException, TimeoutError) as error:
        raise Unavailable("Kafka", str(error)) from error
    return [f"User:{principal(user)}: {_count(rights)}" for user, rights in users().items()]


def acl_commands(bootstrap: str) -> list[str]:
    """The same as lines of a shell, for the `kafka-acls.sh` of Kafka; `admin.properties` holds who asks."""
    begin = f"kafka-acls.sh --bootstrap-server {bootstrap} --command-config admin.properties --add"
    return [
        f"{begin} --allow-principal User:{principal(user)} {_operations(right)} --{right.kind} {right.name}"
        f"{' --resource-pattern-type prefixed' if right.prefixed else ''}"
        for user, rights in users().items()
        for right in rights
    ]


def strimzi_manifests(settings: Settings, topics: list[Topic], cluster: str) -> list[dict[str, Any]]:
    """KafkaTopic and KafkaUser of the Strimzi operator for a cluster of that name. Tables say no number of partitions: the operator would
    grow them with `kafka.partitions`, and a key that moved leaves behind what was said of it."""
    labels = {"strimzi.io/cluster": cluster}
    made = [
        {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "KafkaTopic",
            "metadata": {"name": topic.name, "labels": labels},
            "spec": {
                **({} if topic.compacted else {"partitions": settings.kafka.partitions}),
                "replicas": settings.kafka.replication,
                "config": topic_config(topic, settings.kafka.replication),
            },
        }
        for topic in topics
    ]
    for user, rights in users().items():
        acls = [
            {
                "resource": {
                    "type": right.kind,
                    "name": right.name,
                    "patternType": "prefix" if right.prefixed else "literal",
                },
                "operations": [_camel(one) for one in right.operations],
            }
            for right in rights
        ]
        made.append(
            {
                "apiVersion": "kafka.strimzi.io/v1",
                "kind": "KafkaUser",
                "metadata": {"name": principal(user), "labels": labels},
                "spec": {
                    "authentication": {"type": "scram-sha-512"},
                    "authorization": {"type": "simple", "acls": acls},
                },
            }
        )
    return made


def _operations(right: Right) -> str:
    return " ".join(f"--operation {_camel(one)}" for one in right.operations)


def _camel(operation: str) -> str:
    return operation.title().replace("_", "")


def _count(rights: list[Right]) -> str:
    return f"{sum(len(right.operations) for right in rights)} rights on {len(rights)} topics and groups"
