"""`mailscope tail`: the public status topics as they are written."""

import json
import os
import sys
import time
from collections import OrderedDict

import click
from confluent_kafka import Consumer, KafkaException, TopicPartition

from commands.ask_api import leave, settings_or_leave
from commands.format_row import format_row
from console.answer_errors import Problem
from console.match_change import matches, untold
from console.parse_filters import Filters, parse_filters
from contracts import clock, topics
from contracts.codec import decode_envelope
from contracts.errors import InvalidEvent
from contracts.records import ConsumedRecord, Place
from runtime.connect_kafka import reader
from runtime.consume import partitions_of, read_records

REMEMBERED = 100_000  # changes that are known to have been told
PATIENCE = 5.0  # seconds for what is there already


@click.command()
@click.argument("query", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="The CloudEvents as they stand in Kafka, one a line.")
@click.option(
    "--last",
    type=click.IntRange(0, 10_000),
    default=10,
    show_default=True,
    help="Begin with the newest N of each partition.",
)
def tail(query: tuple[str, ...], as_json: bool, last: int) -> None:
    """Follow every change of status, as it happens. Ctrl-C ends it.

    QUERY is what the console takes, such as 'status:failed to:*@acme.example': only changes that it finds. A mail that changes twice is
    told twice, and no change twice. Times of a query are those at which the mail came.
    """
    teller = Teller(_read_filters(" ".join(query)), as_json=as_json)
    settings = settings_or_leave()
    consumer = reader(settings.kafka_client, "tail", fetch_wait_max_ms=100)
    try:
        places: list[TopicPartition] = []
        ends: dict[Place, int] = {}
        for topic in (topics.STATUS_INBOUND, topics.STATUS_OUTBOUND):
            for number in partitions_of(consumer, topic, 5.0):
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), 5.0)
                places.append(TopicPartition(topic, number, max(low, high - last)))
                ends[topic, number] = high if high > max(low, high - last) else 0
        consumer.assign(places)
    except KafkaException as error:
        leave(
            f"Kafka at {settings.kafka.bootstrap} does not tell: is Mailscope running, and may this user read the status topics? "
            f"`mailscope doctor` tells more ({error.args[0].str()})",
            69,
        )
    try:
        teller.tell(_there_already(consumer, ends))
        while True:
            teller.tell(read_records(consumer, 100, 0.5))
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # who read has gone, and nothing is left to be written at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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


class Teller:
    """Prints the changes that are asked for, each once and a line at once; those that come together in the order of time."""

    def __init__(self, filters: Filters, *, as_json: bool) -> None:
        self._filters = filters
        self._as_json = as_json
        self._told: OrderedDict[str, None] = OrderedDict()  # ids of events: delivery is at least once

    def tell(self, records: list[ConsumedRecord]) -> None:
        """Print these. BrokenPipeError when nobody reads any more."""
        for record in sorted(records, key=lambda one: one.timestamp_ms):
            self._tell(record)

    def _tell(self, record: ConsumedRecord) -> None:
        try:
            event = decode_envelope(record.value)
            change = json.loads(bytes(event.data))
        except (InvalidEvent, ValueError) as error:
            click.echo(f"a record that cannot be read: {error}", err=True)
            return
        if event.id in self._told or not matches(self._filters, change):
            return
        self._told[event.id] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        click.echo(record.value or b"" if self._as_json else format_row(change, change["occurred_at"]))


def _read_filters(line: str) -> Filters:
    """What the line asks for; ends the command with a sentence when it is none, or cannot be answered here."""
    try:
        filters = parse_filters([("q", line)] if line else [], clock.now())
    except Problem as why:
        leave(why.message, 2)
    if missing := untold(filters.terms):
        leave(f"a change of status does not say {', '.join(sorted(missing))}: use `mailscope search`", 2)
    return filters
