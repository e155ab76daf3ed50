"""`mailscope replay`: dead letters go back to where they came from."""

import time

import click

from commands.ask_api import leave, settings_or_leave
from commands.read_topic import read_topic
from contracts import topics
from contracts.dead_letter import read_dead_letter, replayed_headers
from contracts.errors import InvalidEvent
from contracts.setting_types import parse_duration
from runtime.connect_kafka import producer
from runtime.log import printable


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
    try:
        oldest = time.time() - parse_duration(since).total_seconds() if since else 0.0
    except ValueError as error:
        leave(f"--since: {error}", 2)
    settings = settings_or_leave()
    found = again = 0
    back = producer(settings.kafka_client, timeout=30.0, linger_ms=5)
    failed: list[str] = []
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
            back.produce(
                letter.topic,
                key=record.key,
                value=record.value,
                headers=replayed_headers(letter.topic, record.headers),
                on_delivery=lambda error, _: failed.append(str(error)) if error else None,
            )
            again += 1
    if back.flush(30) or failed:
        leave(f"not all were published: {failed[:1] or 'Kafka did not acknowledge in time'}", 69)
    click.echo(
        f"{found} dead letters, {again} published again" + ("" if yes else " (use --yes to publish them)"), err=True
    )
