"""`mailscope tail`: the public status topics as they are written."""

import json
import time

import click
from confluent_kafka import Consumer, KafkaException, TopicPartition

from commands.ask_api import leave, settings_or_leave
from commands.format_row import format_row
from contracts import topics
from contracts.codec import decode_envelope
from contracts.errors import InvalidEvent
from contracts.records import ConsumedRecord, Place
from runtime.connect_kafka import reader
from runtime.consume import read_records

PATIENCE = 5.0  # seconds for what is there already


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The CloudEvents as they stand in Kafka, one a line.")
@click.option(
    "--last",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="Begin with the newest N of each partition.",
)
def tail(as_json: bool, last: int) -> None:
    """Follow every change of status, as it happens. Ctrl-C ends it."""
    settings = settings_or_leave()
    consumer = reader(settings.kafka_client, "tail", fetch_wait_max_ms=100)
    try:
        places: list[TopicPartition] = []
        ends: dict[Place, int] = {}
        for topic in (topics.STATUS_INBOUND, topics.STATUS_OUTBOUND):
            for number in consumer.list_topics(topic, 5.0).topics[topic].partitions:
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), 5.0)
                places.append(TopicPartition(topic, number, max(low, high - last)))
                ends[topic, number] = high if high > max(low, high - last) else 0
        consumer.assign(places)
    except KafkaException:
        leave(
            f"Kafka at {settings.kafka.bootstrap} does not answer: is Mailscope running? `mailscope doctor` tells more",
            69,
        )
    try:
        for record in sorted(_there_already(consumer, ends), key=lambda one: one.timestamp_ms):
            _tell(record, as_json=as_json)
        while True:
            for record in read_records(consumer, 100, 0.5):
                _tell(record, as_json=as_json)
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        consumer.close()


def _there_already(consumer: Consumer, ends: dict[Place, int]) -> list[ConsumedRecord]:
    """What stood in the partitions at the start: each is read in its own order, and all of them together in the order of time."""
    found: list[ConsumedRecord] = []
    left = {place for place, end in ends.items() if end}
    until = time.monotonic() + PATIENCE
    while left and time.monotonic() < until:
        for record in read_records(consumer, 500, 0.5):
            found.append(record)
            place = (record.topic, record.partition)
            if record.offset + 1 >= ends.get(place, 0):
                left.discard(place)
    return found


def _tell(record: ConsumedRecord, *, as_json: bool) -> None:
    if as_json:
        click.echo(record.value or b"")
        return
    try:
        change = json.loads(bytes(decode_envelope(record.value).data))
    except (InvalidEvent, ValueError) as error:
        click.echo(f"a record that cannot be read: {error}", err=True)
        return
    click.echo(format_row(change, change["occurred_at"]))
