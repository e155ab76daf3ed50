"""Reading records: from a client's messages to `ConsumedRecord`, with every error heard."""

from confluent_kafka import Consumer, KafkaException, Message

from contracts.records import ConsumedRecord
from runtime.connect_kafka import Complaints

_complaints = Complaints("consumer")


def read_records(consumer: Consumer, at_most: int, wait: float) -> list[ConsumedRecord]:
    """What has come, up to `at_most` records; waits up to `wait` seconds for the first, and for no other."""
    first = consumer.poll(wait)
    if first is None:
        return []
    rest = consumer.consume(at_most - 1, 0) if at_most > 1 else []
    return [consumed(message) for message in (first, *rest) if _is_record(message)]


def partitions_of(consumer: Consumer, topic: str, at_most: float) -> list[int]:
    """The partitions of a topic, in order. KafkaException when the brokers do not say within `at_most` seconds: a topic that is not there,
    or that this user may not see, has no partitions, which is not the same as holding nothing."""
    found = consumer.list_topics(topic, at_most).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return sorted(found.partitions)


def consumed(message: Message) -> ConsumedRecord:
    """The record of a message that is no error."""
    return ConsumedRecord(
        str(message.topic()),
        int(message.partition() or 0),
        int(message.offset() or 0),
        message.key(),
        message.value(),
        message.headers() or [],
        max(0, int(message.timestamp()[1])),
    )


def _is_record(message: Message) -> bool:
    error = message.error()
    if error is not None:
        _complaints(error)
    return error is None
