"""All records that a topic holds now, from a moment on, for commands that look through it."""

from collections.abc import Iterator

from confluent_kafka import KafkaException, TopicPartition

from commands.ask_api import leave
from contracts.records import ConsumedRecord
from runtime.connect_kafka import reader
from runtime.consume import partitions_of, read_records

DEADLINE = 10.0  # seconds that the brokers may take for one answer
BATCH = 500


def read_topic(kafka: dict[str, str], topic: str, since_ms: int = 0) -> Iterator[ConsumedRecord]:
    """The records written from `since_ms` (milliseconds, UTC) until now, partition by partition, oldest first. Ends the command with a
    sentence when the brokers do not answer, or show this user no such topic: what would be missing is never left out in silence."""
    consumer = reader(kafka, "command", fetch_wait_max_ms=50)
    try:
        for number in partitions_of(consumer, topic, DEADLINE):
            (begin,) = consumer.offsets_for_times([TopicPartition(topic, number, since_ms)], DEADLINE)
            low, end = consumer.get_watermark_offsets(TopicPartition(topic, number), DEADLINE)
            following = max(low, begin.offset)
            if begin.offset < 0 or following >= end:  # nothing is as new
                continue
            consumer.assign([TopicPartition(topic, number, following)])
            while following < end:
                records = read_records(consumer, BATCH, DEADLINE)
                following = max(following, consumer.position([TopicPartition(topic, number)])[0].offset)
                if not records and following < end:
                    leave(f"Kafka does not answer: {topic}[{number}] could not be read to its end", 69)
                yield from (record for record in records if record.offset < end)
    except KafkaException as error:
        leave(f"{topic} cannot be read: {error}", 69)
    finally:
        consumer.close()
