"""`mailscope reclassify`: the bounce rules of today, over the answers that were kept."""

from collections import Counter
from collections.abc import Iterable, Iterator

import click

from commands.ask_api import leave, settings_or_leave, since_or_leave
from commands.read_topic import read_topic
from contracts import topics
from contracts.codec import HEADERS, decode, encode_mail_event, mail_event_id
from contracts.errors import InvalidEvent
from contracts.events import Bounce, MailEvent
from contracts.records import ConsumedRecord
from mail.bounces.classify import RULES
from mail.bounces.reclassify import reclassify as with_rules_of_today
from processors.suppress import suppress
from runtime.connect_kafka import producer
from runtime.log import printable

MOST = 50_000  # events that are held, about 100 MB
SHOWN = 20  # of them that are printed, unless all are asked for
SOURCE = "mailscope/reclassify"


@click.command("reclassify")
@click.option("--since", required=True, help="Events of this time, such as 7d or 12h.")
@click.option(
    "--apply", "apply", is_flag=True, help="Write the new classes into the log; without it they are only told."
)
@click.option("--all", "everything", is_flag=True, help=f"Print every change, not only the first {SHOWN}.")
def reclassify(since: str, apply: bool, everything: bool) -> None:
    """Tell which bounces the rules of today would classify otherwise, and with --apply write that into the log.

    The answers are those of `mail.events`, which holds what the log holds. With --apply each event is written again, with the same id:
    the log shows its new type, class and reason. Statuses do not change, nothing is sent, the public topics say nothing, and the
    suppression list stays as it is: what it would hold otherwise is named, for `mailscope suppressions`.
    """
    oldest = since_or_leave(since)
    settings = settings_or_leave()
    changes = find_changes(read_topic(settings.kafka_client, topics.EVENTS, int(oldest * 1000)))
    counts = Counter((_words(before.bounce), _words(after.bounce)) for before, after in changes.found.values())
    for (before, after), count in counts.most_common():
        click.echo(f"{count:>7}  {before}  ->  {after}")
    for number, (old, new) in enumerate(changes.found.values()):
        if number == SHOWN and not everything:
            click.echo(f"... and {len(changes.found) - SHOWN} more (--all)")
            break
        _tell(old, new)
    for line in _suppressions(changes.found.values()):
        click.echo(line)
    if apply:
        _publish(settings.kafka_client, [after for _, after in changes.found.values()])
    summary = (
        f"{changes.looked_at} answers looked at with rules {RULES.version}, {len(changes.found)} classified otherwise"
    )
    click.echo(
        summary + (", written" if apply else "" if not changes.found else " (use --apply to write them)"), err=True
    )
    if changes.more:
        leave(
            f"there are more than {MOST}: "
            + ("call it again for the rest" if apply else "a shorter --since shows all"),
            75,
        )


class Changes:
    """Events, oldest first, that the rules of today classify otherwise: before and after, by id."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[MailEvent, MailEvent]] = {}
        self.looked_at = 0
        self.more = False


def find_changes(records: Iterator[ConsumedRecord], most: int = MOST) -> Changes:
    """What changes among these records. Of an event that was written several times the last one counts."""
    changes = Changes()
    for record in records:
        try:
            event = decode(record.value, MailEvent)
        except InvalidEvent:
            continue  # the sink has put it aside
        if event.bounce is None:
            continue
        changes.looked_at += 1
        after = with_rules_of_today(event)
        name = mail_event_id(event)
        if after is None:
            changes.found.pop(name, None)
        elif name in changes.found or len(changes.found) < most:
            changes.found[name] = (event, after)
        else:
            changes.more = True
    return changes


def _tell(before: MailEvent, after: MailEvent) -> None:
    assert before.bounce and after.bounce
    said = " ".join((str(before.bounce.code or ""), before.bounce.text)).split()
    click.echo(f"{before.mail_id}  {printable(before.recipient)}  {_words(before.bounce)}  ->  {_words(after.bounce)}")
    click.echo(f"    {printable(' '.join(said))[:200]}")
    click.echo(f"    by {after.bounce.rule}, was {before.bounce.rule} of {before.bounce.rules_version}")


def _words(bounce: Bounce | None) -> str:
    return f"{bounce.bounce_type}/{bounce.bounce_class}" if bounce else "none"


def _suppressions(changes: Iterable[tuple[MailEvent, MailEvent]]) -> Iterator[str]:
    """What the suppression list would be without the old classes; people decide about it."""
    told = set()
    for before, after in changes:
        then, now = suppress(before), suppress(after)
        if (then is None) == (now is None) or before.recipient in told:
            continue
        told.add(before.recipient)
        address = printable(before.recipient)
        yield (
            f"suppressed by a class that says nothing against the address: mailscope suppressions remove {address}"
            if now is None
            else f"not suppressed, and its new class would: mailscope suppressions add {address}"
        )


def _publish(kafka: dict[str, str], events: list[MailEvent]) -> None:
    back = producer(kafka, timeout=30.0, linger_ms=5)
    failed: list[str] = []
    for event in events:
        back.produce(
            topics.EVENTS,
            key=event.mail_id.encode(),
            value=encode_mail_event(event, SOURCE),
            headers=HEADERS,
            on_delivery=lambda error, _: failed.append(str(error)) if error else None,
        )
        while len(back) > 10_000:
            back.poll(0.1)
    if back.flush(60) or failed:
        leave(f"not all were written, call it again: {failed[:1] or 'Kafka did not acknowledge in time'}", 69)
