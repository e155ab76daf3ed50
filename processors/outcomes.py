"""The app `outcomes`: reports of attempts become events: delivered, deferred, bounced, processed."""

from collections.abc import Iterable

from contracts import topics
from contracts.codec import decode
from contracts.events import AttemptReport
from contracts.records import ConsumedRecord, Record
from contracts.settings import Settings
from processors.fit_event import fit_event
from processors.notify_sender import SenderNotices
from processors.publish_events import event_records
from processors.run_app import run_app
from processors.settle import settle, settle_unusable
from runtime.health import Readiness


def run_outcomes(settings: Settings, readiness: Readiness) -> None:
    """Run the app until SIGTERM. ConfigurationError when a DKIM key cannot be used."""
    run_app("outcomes", topics.ATTEMPTS, Outcomes(settings), settings, readiness)


class Outcomes:
    """Says what every attempt means for its mail, and tells senders of forwards that failed."""

    def __init__(self, settings: Settings) -> None:
        self._notices = SenderNotices(settings)

    async def handle(self, source: ConsumedRecord) -> list[list[Record]]:
        """What to publish about one report. InvalidEvent when it cannot be read."""
        report = decode(source.value, AttemptReport)
        event = fit_event(settle(report))
        return [event_records(event), self._notices.of(report, event)]

    def tell_failed(self, source: ConsumedRecord, why: str) -> list[Record]:
        """The events of a mail whose report was put aside."""
        return event_records(fit_event(settle_unusable(decode(source.value, AttemptReport), why)))

    def weigh(self, source: ConsumedRecord) -> int:
        """One report, and one event in two records."""
        return 3 * source.size

    def forget_partitions(self, partitions: Iterable[int]) -> None:
        """Nothing is remembered of a partition."""
