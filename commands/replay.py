"""`mailscope replay`: dead letters go back to where they came from."""

import time

import click
from confluent_kafka import Producer

from commands.ask_api import leave, settings_or_leave, since_or_leave
from commands.note_act import act_record
from commands.read_topic import read_topic
from contracts import topics
from contracts.audit import AuditAction
from contracts.dead_letter import read_dead_letter, replayed_headers
from contracts.errors import InvalidEvent
from contracts.records import ConsumedRecord, Headers
from runtime.connect_kafka import producer
from runtime.log import printable

AT_A_TIME = 500  # dead letters that are published before the next are read


@click.command()
@click.option("--reason", help="Only those with this reason.")
@click.option("--stage", help="Only those of this stage.")
@click.option("--topic", help="Only those that came from this topic.")
@click.option("--since", help="Only those put aside in this time, such as 2h or 3d.")
@click.option("--yes", is_flag=True, help="Publish them; without it they are only listed.")
def replay(reason: str | None, stage: str | None, topic: str | None, since: str | None, yes: bool) -> None:
    """List the dead letters, and with --yes publish them again to the topics that they came from.

    Nothing is logged twice: events have the ids that they would have had. But a command that is published again is done again,
    and each call with --yes publishes all that it lists: narrow it with --since and the other options.
    """
    oldest = since_or_leave(since) if since else 0.0
    settings = settings_or_leave()
    found = again = 0
    back = Returns(producer(settings.kafka_client, timeout=30.0, linger_ms=5))
    for record in read_topic(settings.kafka_client, topics.DEADLETTER, int(oldest * 1000)):
        try:
            letter = read_dead_letter(record.headers)
        except InvalidEvent as why:
            click.echo(f"{record}  cannot be read: {why}")
            continue
        if (reason, stage, topic) != tuple(
            given and value for given, value in ((reason, letter.reason), (stage, letter.stage), (topic, letter.topic))
        ):
            continue
        found += 1
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.timestamp_ms / 1000))
        place = f"{letter.topic}[{letter.partition}]@{letter.offset}"
        click.echo(f"{when}  {letter.stage}  {letter.reason}  {place}  {printable(letter.detail)}")
        if yes:
            back.take(letter.topic, record)
            again += 1
    back.publish()
    click.echo(
        f"{found} dead letters, {again} published again" + ("" if yes else " (use --yes to publish them)"), err=True
    )


class Returns:
    """Publishes dead letters where they came from, some at a time, after it has written down that it does. Leaves when Kafka does not
    acknowledge."""

    def __init__(self, kafka: Producer) -> None:
        self._kafka = kafka
        self._taken: list[tuple[str, ConsumedRecord]] = []
        self._failed: list[str] = []

    def take(self, topic: str, letter: ConsumedRecord) -> None:
        """One more, for this topic."""
        self._taken.append((topic, letter))
        if len(self._taken) >= AT_A_TIME:
            self.publish()

    def publish(self) -> None:
        """All that was taken."""
        for topic, letter in self._taken:
            name = f"{letter.partition}-{letter.offset}"
            act = act_record(AuditAction.REPLAYED, recipient=topic, detail=name)
            self._produce(act.topic, act.key, act.value, act.headers)
        self._flush()
        for topic, letter in self._taken:
            self._produce(topic, letter.key, letter.value, replayed_headers(topic, letter.headers))
        self._flush()
        self._taken.clear()

    def _produce(self, topic: str, key: str | bytes | None, value: bytes | None, headers: Headers) -> None:
        self._kafka.produce(
            topic,
            key=key,
            value=value,
            headers=headers,
            on_delivery=lambda error, _: self._failed.append(str(error)) if error else None,
        )

    def _flush(self) -> None:
        if self._kafka.flush(30) or self._failed:
            leave(f"not all were published: {self._failed[:1] or 'Kafka did not acknowledge in time'}", 69)
