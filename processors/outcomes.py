"""The app `outcomes`: reports of attempts become events: delivered, deferred, bounced, processed."""

import logging

from contracts import topics
from contracts.codec import decode
from contracts.errors import InvalidEvent
from contracts.events import AttemptReport
from contracts.settings import Settings
from processors.publish_events import event_records
from processors.run_app import Handle, Source, letter_for, run_app
from processors.settle import settle, settle_unusable
from runtime.publish import Publisher, Record

_log = logging.getLogger("mailscope.processors.outcomes")


def run_outcomes(settings: Settings, health_port: int) -> None:
    """Run the app until SIGTERM."""
    run_app("outcomes", topics.ATTEMPTS, settings, health_port, _start)


def _start(_publisher: Publisher) -> Handle:
    async def handle(source: Source) -> list[list[Record]]:
        report = decode(source.value, AttemptReport)
        try:
            return [event_records(settle(report))]
        except Exception as error:  # one report must not hold up the others: kept aside, and told in the log
            _log.exception("a report crashed the processors: %s", report.mail_id)
            why = InvalidEvent("crashed", f"{type(error).__name__}: {error}")
            letter = letter_for("processors.outcomes", why, source)
            return [[letter], event_records(settle_unusable(report, why.reason))]

    return handle
