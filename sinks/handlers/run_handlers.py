"""The sink `handlers`: mail that a route gives to an application."""

import asyncio
import logging
from typing import Any

import httpx

from contracts import clock, metrics, topics
from contracts.errors import InvalidEvent
from contracts.events import Action, Attempt, Dispatch, Outcome
from contracts.settings import Settings
from contracts.stages import group_of
from contracts.statuses import Reason
from runtime.blobs import open_blobs
from runtime.expose_metrics import counter, histogram
from runtime.health import Readiness
from runtime.publish import Publisher
from runtime.run_stage import instance_name
from runtime.suspect_records import SuspectRecords
from sinks.dispatch.consume_commands import CommandConsumer
from sinks.dispatch.fetch_raw import RawReader
from sinks.dispatch.job import Done, Job
from sinks.dispatch.limit_large import LargeMessages
from sinks.dispatch.report_attempt import give_up, report_attempt
from sinks.handlers.call_handler import Called
from sinks.handlers.describe_mail import describe_mail

_log = logging.getLogger("mailscope.handlers")
CALLS = 50  # calls of one handler at a time
SLOTS = 200  # calls at a time
TOLERATED = 2  # calls in a row that got no answer: it may be the mail, and not the handler
AWAY = (0, 429, 502, 503, 504)  # no answer, or one that says that the handler itself is not there


async def run_handlers(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """Call handlers until told to stop. ConfigurationError when one cannot be called, Unavailable when a topic is missing."""
    called = {name: Called(name, handler) for name, handler in settings.handlers.items()}
    publisher = Publisher(settings.kafka_client)
    for topic in (topics.DISPATCH, topics.ATTEMPTS, *map(topics.retry_topic, settings.delivery.retry_names)):
        await publisher.warm_up(topic)
    suspects = SuspectRecords(settings.data_dir / "run" / f"{instance_name('handlers')}.suspects")
    raw = RawReader(settings.kafka_client, open_blobs(settings), "handlers")
    await raw.warm_up(topics.RAW)
    # A webhook is called as it is written, and where it redirects nobody follows.
    async with httpx.AsyncClient(follow_redirects=False, timeout=None, trust_env=False) as client:
        consumer = CommandConsumer(
            "handlers",
            group_of("handlers", topics.DISPATCH),
            settings,
            publisher,
            _wants,
            _handler,
            HandlerCalls(settings, called, raw, client, suspects).handle,
            give_up,
            slots=SLOTS,
            per_lane=CALLS,
            tolerated=TOLERATED,
        )
        readiness.set()
        _log.info("handling: %s", ", ".join(called) or "no handlers are configured")
        try:
            await consumer.run(stop)
        finally:
            raw.close()
            await publisher.close()


class HandlerCalls:
    """Gives mails to their handlers, with what they may take of memory."""

    def __init__(
        self,
        settings: Settings,
        called: dict[str, Called],
        raw: RawReader,
        client: httpx.AsyncClient,
        suspects: SuspectRecords,
    ) -> None:
        self._settings = settings
        self._called = called
        self._raw = raw
        self._client = client
        self._suspects = suspects
        self._large = LargeMessages(settings.delivery.memory)

    async def handle(self, job: Job) -> Done:
        """One call; what to publish about it. NotNow while too many large messages are in hand."""
        expired = clock.now() >= job.command.expires_at  # then nothing is read
        with self._large.hold(0 if expired else job.command.mail.size, job.command.parked):
            attempt = await self._attempt(job)
        counter(metrics.HANDLER_CALLS).labels(attempt.outcome).inc()
        delivery = self._settings.delivery
        records = report_attempt(job.command, job.key, [attempt], delivery.retry, delivery.retry_names)
        silent = attempt.outcome is Outcome.TEMPORARY and attempt.code in AWAY
        why = f"handler {attempt.target} did not take mail at {clock.rfc3339(attempt.started_at)}: {attempt.text}"
        return Done(records, answered=not silent, why=why[:500] if silent else "")

    async def _attempt(self, job: Job) -> Attempt:
        command, name = job.command, _handler(job)
        if name not in self._called:
            return _not_called(command, name, Reason.CONFIGURATION_ERROR, f"there is no handler '{name}' any more")
        if clock.now() >= command.expires_at:
            return _not_called(
                command, name, Reason.EXPIRED, "its time was over before it could be given to the handler"
            )
        try:
            _, octets = await self._raw.read(command.raw)
        except InvalidEvent as why:
            expired = clock.now() >= command.expires_at
            return _not_called(command, name, Reason.EXPIRED if expired else Reason.INTERNAL_ERROR, str(why))
        settings = self._settings
        async with self._suspects.in_work(job.source):
            mail = await asyncio.to_thread(
                describe_mail, command, octets, settings.console.base_url, settings.authserv_id
            )
            if self._called[name].is_function:  # it runs in this process, which may die of it
                return await self._call(job, name, mail)
        return await self._call(job, name, mail)

    async def _call(self, job: Job, name: str, mail: dict[str, Any]) -> Attempt:
        job.begin()
        with histogram(metrics.HANDLER_SECONDS).time():
            return await self._called[name].call(self._client, mail, job.command.attempt, job.command.round)


def _not_called(command: Dispatch, name: str, reason: Reason, text: str) -> Attempt:
    return Attempt(
        number=command.attempt,
        target=name,
        outcome=Outcome.PERMANENT,
        started_at=clock.now(),
        reason=reason,
        text=text,
    )


def _wants(command: Dispatch) -> bool:
    return command.action is Action.HANDLE


def _handler(job: Job) -> str:
    return job.command.targets[0].address
