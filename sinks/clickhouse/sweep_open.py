"""A mail that is open beyond its limit is `failed`: nobody is left to tell what became of it, and a log that says `deferred` for ever
is wrong. Looked for once an hour."""

import asyncio
import logging
from datetime import datetime, timedelta

import msgspec
from clickhouse_connect.driver.exceptions import ClickHouseError

from contracts import clock, topics
from contracts.codec import HEADERS, encode_attempt_report
from contracts.errors import Unavailable
from contracts.events import Action, Attempt, AttemptReport, MailEvent, Outcome
from contracts.records import Record
from contracts.settings import Settings
from contracts.statuses import Direction, Reason
from runtime.open_store import Store
from runtime.publish import Publisher

_log = logging.getLogger("mailscope.clickhouse")
INTERVAL = 3600.0  # seconds
MOST = 1000  # mails of one sweep
FRESH = timedelta(minutes=10)  # a log that is further behind does not know what is open
SOURCE = "mailscope/sinks"
_OPEN = """
SELECT m.mail_id, m.recipient, argMax(e.data, (JSONExtractUInt(e.data, 'round'), e.occurred_at, e.event_id)) FROM (
    SELECT received_at, mail_id, recipient FROM mails FINAL
    WHERE received_at >= {since:DateTime64(3)} AND received_at < {before:DateTime64(3)} AND NOT terminal
    ORDER BY received_at LIMIT {most:UInt32}
) AS m INNER JOIN events AS e ON e.received_at = m.received_at AND e.mail_id = m.mail_id AND e.recipient = m.recipient
GROUP BY m.mail_id, m.recipient
"""


async def sweep_open(settings: Settings, store: Store, publisher: Publisher, stop: asyncio.Event) -> None:
    """Sweep until told to stop."""
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), INTERVAL)
        except TimeoutError:
            try:
                await sweep_once(settings, store, publisher, clock.now())
            except (ClickHouseError, Unavailable, OSError) as error:
                _log.warning("open mails were not swept: %s", error)


async def sweep_once(settings: Settings, store: Store, publisher: Publisher, now: datetime) -> int:
    """Report every mail that is open beyond its limit; how many. Unavailable when Kafka does not acknowledge."""
    # The last attempt begins before the mail expires, and is over long before the margin is.
    before = now - settings.delivery.expire - max(*settings.delivery.retry, timedelta(hours=12))
    since = now - settings.store.retention
    events = await asyncio.to_thread(_find_open, store, since, before, now)
    for event in events:
        _log.error("%s to %s is open beyond its limit: told as failed", event.mail_id, event.recipient)
    await publisher.publish_all([_report(event, now) for event in events])
    return len(events)


def _find_open(store: Store, since: datetime, before: datetime, now: datetime) -> list[MailEvent]:
    client = store.client
    known = client.query("SELECT max(complete_until) FROM progress WHERE name = 'log'").result_rows
    complete = known[0][0] if known else None
    if complete is None or clock.to_ms(clock.utc(complete)) < clock.to_ms(now - FRESH):
        return []
    parameters = {"since": _text(since), "before": _text(before), "most": MOST}
    rows = client.query(_OPEN, parameters=parameters).result_rows
    events = [msgspec.json.decode(row[2], type=MailEvent) for row in rows]
    return [
        event for event in events if not event.round or event.occurred_at < before
    ]  # redelivered, it has its time again


def _report(event: MailEvent, now: datetime) -> Record:
    text = f"nothing was heard of it since {clock.rfc3339(event.occurred_at)}, when it was {event.status}"
    attempt = Attempt(
        number=event.attempt,
        target=event.recipient,
        outcome=Outcome.PERMANENT,
        started_at=now,
        command="wait",
        reason=Reason.INTERNAL_ERROR,
        text=text,
    )
    report = AttemptReport(
        mail_id=event.mail_id,
        recipient=event.recipient,
        direction=event.direction,
        action=Action.DELIVER if event.direction is Direction.OUTBOUND else Action.FORWARD,
        round=event.round,
        attempt=max(1, event.attempt),
        occurred_at=now,
        mail=event.mail,
        raw=event.raw,
        attempts=[attempt],
        targets=[],
    )
    return Record(topics.ATTEMPTS, event.mail_id, encode_attempt_report(report, SOURCE), HEADERS)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
