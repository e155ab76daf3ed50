"""The app `outcomes`: reports of attempts become events: delivered, deferred, bounced, processed."""

import logging
from collections.abc import Iterable

from contracts import topics
from contracts.codec import LATE_NEWS, decode, decode_envelope
from contracts.events import AttemptReport, LateNews, MailEvent
from contracts.records import ConsumedRecord, Record
from contracts.settings import Settings
from contracts.statuses import Direction
from processors.find_reference import thread_records
from processors.fit_event import fit_event
from processors.notify_sender import SenderNotices
from processors.publish_events import SOURCE, event_records
from processors.recall_decisions import Decisions
from processors.run_app import run_app
from processors.settle import settle, settle_late, settle_unusable
from processors.suppress import suppress, unsubscribe
from runtime.health import Readiness
from runtime.publish import Publisher
from runtime.shared_list import follow_preferences, follow_suppressions

_log = logging.getLogger("mailscope.processors")


def run_outcomes(settings: Settings, readiness: Readiness) -> None:
    """Run the app until SIGTERM. ConfigurationError when a DKIM key cannot be used."""
    run_app("outcomes", topics.ATTEMPTS, Outcomes(settings), settings, readiness)


class Outcomes:
    """Says what every attempt means for its mail, and tells senders of forwards that failed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._notices = SenderNotices(settings)
        self._decisions = Decisions(settings.kafka_client, Direction.OUTBOUND)

    def begin(self, publisher: Publisher) -> None:
        """Follow the lists that bounces, complaints and unsubscriptions add to."""
        self._publisher = publisher
        self._suppressions = follow_suppressions(self._settings.kafka_client)
        self._preferences = follow_preferences(self._settings.kafka_client)

    async def handle(self, source: ConsumedRecord) -> list[list[Record]]:
        """What to publish about one report of an attempt, or about news, once the lists hold what it says of its recipient. InvalidEvent
        when it cannot be read, Unavailable when Kafka is."""
        if decode_envelope(source.value).type.startswith(LATE_NEWS):
            return await self._late(source, decode(source.value, LateNews))
        report = decode(source.value, AttemptReport)
        event = fit_event(settle(report))
        await self._note(event)
        # The key before the word: whoever answers after that finds it.
        return [thread_records([event]), event_records(event), self._notices.of(report, event)]

    async def _late(self, source: ConsumedRecord, news: LateNews) -> list[list[Record]]:
        known = await self._decisions.of_recipient(news.mail_id, news.recipient_digest, source.partition)
        event = settle_late(news, known)
        if event is None:
            _log.warning("nothing is known of %s any more, about which %s came", news.mail_id, news.report_id or "news")
            return []
        await self._note(event)
        return [event_records(event)]

    async def _note(self, event: MailEvent) -> None:
        suppression, preference = suppress(event), unsubscribe(event)
        if suppression is not None:
            await self._suppressions.change(self._publisher, event.recipient, suppression, SOURCE)
        if preference is not None:
            await self._preferences.change(self._publisher, event.recipient, preference, SOURCE)

    def tell_failed(self, source: ConsumedRecord, why: str) -> list[Record]:
        """The events of a mail whose report was put aside."""
        return event_records(fit_event(settle_unusable(decode(source.value, AttemptReport), why)))

    def weigh(self, source: ConsumedRecord) -> int:
        """One report, and one event in two records."""
        return 3 * source.size

    def forget_partitions(self, partitions: Iterable[int]) -> None:
        """Nothing is remembered of a partition."""
