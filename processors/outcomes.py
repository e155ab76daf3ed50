"""The app `outcomes`: reports of attempts become events: delivered, deferred, bounced, processed."""

from collections.abc import Iterable

from contracts import topics
from contracts.codec import decode
from contracts.events import AttemptReport
from contracts.records import ConsumedRecord, Record
from contracts.settings import Settings
from processors.fit_event import fit_event
from processors.notify_sender import SenderNotices
from processors.publish_events import SOURCE, event_records
from processors.run_app import run_app
from processors.settle import settle, settle_unusable
from processors.suppress import suppress
from runtime.health import Readiness
from runtime.publish import Publisher
from runtime.shared_list import follow_suppressions


def run_outcomes(settings: Settings, readiness: Readiness) -> None:
    """Run the app until SIGTERM. ConfigurationError when a DKIM key cannot be used."""
    run_app("outcomes", topics.ATTEMPTS, Outcomes(settings), settings, readiness)


class Outcomes:
    """Says what every attempt means for its mail, and tells senders of forwards that failed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._notices = SenderNotices(settings)

    def begin(self, publisher: Publisher) -> None:
        """Follow the suppression list, which bounces add to."""
        self._publisher = publisher
        self._suppressions = follow_suppressions(self._settings.kafka_client)

    async def handle(self, source: ConsumedRecord) -> list[list[Record]]:
        """What to publish about one report, once a bounce that is about its recipient stands in the suppression list. InvalidEvent when it
        cannot be read, Unavailable when Kafka is."""
        report = decode(source.value, AttemptReport)
        event = fit_event(settle(report))
        change = suppress(event)
        if change is not None:
            await self._suppressions.change(self._publisher, event.recipient, change, SOURCE)
        return [event_records(event), self._notices.of(report, event)]

    def tell_failed(self, source: ConsumedRecord, why: str) -> list[Record]:
        """The events of a mail whose report was put aside."""
        return event_records(fit_event(settle_unusable(decode(source.value, AttemptReport), why)))

    def weigh(self, source: ConsumedRecord) -> int:
        """One report, and one event in two records."""
        return 3 * source.size

    def forget_partitions(self, partitions: Iterable[int]) -> None:
        """Nothing is remembered of a partition."""
