"""A mail of which nothing is heard any more is told as failed, by what stands in a real store, and only where the log knows."""

from datetime import datetime, timedelta
from pathlib import Path

from contracts import clock
from contracts.codec import decode, encode_mail_event
from contracts.events import AttemptReport, MailEvent, RawPointer, Summary
from contracts.records import ConsumedRecord
from contracts.statuses import Direction, Status, is_terminal
from local.run_kafka import LocalKafka
from processors.settle import settle
from runtime.apply_topics import apply_topics
from sinks.clickhouse.sweep_open import sweep_once
from sinks.clickhouse.to_rows import event_rows
from tests.fakes.broker import publishing, read_topic, settings_of
from tests.integration.console_log import Log, mail_id_at


def event(
    mail_id: str, status: Status, moment: datetime, attempt: int = 0, round_: int = 0, late: bool = False
) -> MailEvent:
    return MailEvent(
        mail_id=mail_id,
        recipient="a@x.test",
        direction=Direction.OUTBOUND,
        status=status,
        terminal=is_terminal(status),
        occurred_at=moment,
        round=round_,
        late=late,
        attempt=attempt,
        mail=Summary(received_at=moment, subject="swept"),
        raw=RawPointer(topic="mail.raw", partition=0, offset=0),
    )


async def test_what_is_open_beyond_its_limit_is_failed_and_nothing_else(kafka: LocalKafka, tmp_path: Path) -> None:
    settings = settings_of(kafka.bootstrap, tmp_path, delivery={"retry": ["1m"], "expire": "1d"})
    apply_topics(settings)
    now = clock.now()
    log = Log(tmp_path / "log")
    try:
        old, young, done = (mail_id_at(now - timedelta(days=days)) for days in (2, 1, 2))
        for mail_id, status, days, attempt in (
            (old, Status.SENT, 2, 0),
            (old, Status.DEFERRED, 1.9, 3),
            (young, Status.SENT, 1, 0),
            (done, Status.SENT, 2, 0),
            (done, Status.DELIVERED, 2, 1),
        ):
            _insert(log, event(mail_id, status, now - timedelta(days=days), attempt))
        # Redelivered; then a late bounce of the first delivery came, which says nothing of the second one.
        again, lost = (mail_id_at(now - timedelta(days=3)) for _ in range(2))
        for mail_id, begun in ((again, 0.2), (lost, 1.8)):
            _insert(log, event(mail_id, Status.SENT, now - timedelta(days=begun), 0, 1))
            _insert(log, event(mail_id, Status.DELIVERY_FAILED, now - timedelta(days=0.1), 1, 0, late=True))
        async with publishing(kafka.bootstrap) as publisher:
            # The log is behind: what is open there may long be settled.
            _progress(log, now - timedelta(hours=2))
            assert await sweep_once(settings, log.store, publisher, now) == 0
            _progress(log, now)
            assert await sweep_once(settings, log.store, publisher, now) == 2
    finally:
        log.close()
    reports = [decode(one.value(), AttemptReport) for one in read_topic(kafka.bootstrap, "mail.attempts")]
    report, second = sorted(
        (one for one in reports if one.mail.subject == "swept"), key=lambda one: one.mail_id, reverse=True
    )
    assert (second.mail_id, second.round) == (lost, 1)
    told = settle(report)
    assert (told.mail_id, told.status, told.reason, told.attempt) == (old, "failed", "internal_error", 3)
    assert "nothing was heard of it since" in told.detail and "deferred" in told.detail


def _insert(log: Log, one: MailEvent) -> None:
    line = encode_mail_event(one, "test")
    log.insert(event_rows(ConsumedRecord("mail.events", 0, 0, None, line, [])))


def _progress(log: Log, moment: datetime) -> None:
    log.store.client.insert(
        "progress",
        [["log", clock.to_ms(moment), clock.to_ms(clock.now())]],
        column_names=["name", "complete_until", "written_at"],
    )
