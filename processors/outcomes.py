"""The app `outcomes`: reports of attempts become events: delivered, deferred, bounced, processed."""

from contracts import topics
from contracts.codec import decode
from contracts.events import AttemptReport
from contracts.publish import Publisher, Record
from contracts.settings import Settings
from processors.publish_events import event_records
from processors.run_app import Handle, Source, run_app
from processors.settle import settle


def run_outcomes(settings: Settings, health_port: int) -> None:
    """Run the app until SIGTERM."""
    run_app("outcomes", topics.ATTEMPTS, settings, health_port, _start)


def _start(_publisher: Publisher) -> Handle:
    async def handle(source: Source) -> list[list[Record]]:
        return [event_records(settle(decode(source.value, AttemptReport)))]

    return handle
