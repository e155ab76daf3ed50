"""The sink `handlers`: mail that a route gives to an application."""

import asyncio
import logging
from collections import defaultdict
from datetime import timedelta

import httpx

from contracts import clock, metrics, topics
from contracts.errors import InvalidEvent
from contracts.events import Action, Attempt, Dispatch, Outcome
from contracts.records import Record
from contracts.settings import Settings
from contracts.stages import group_of
from contracts.statuses import Reason
from runtime.blobs import BlobStore
from runtime.expose_metrics import counter, histogram
from runtime.health import Readiness
from runtime.publish import Publisher
from sinks.dispatch.conclude import conclude, give_up
from sinks.dispatch.consume_commands import CommandConsumer
from sinks.dispatch.fetch_raw import RawReader
from sinks.handlers.call_handler import Called
from sinks.handlers.describe_mail import describe_mail

_log = logging.getLogger("mailscope.handlers")
WINDOW = 1000  # commands at a time; most of them wait for their handler
CALLS = 50  # calls of one handler at a time


async def run_handlers(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """Call handlers until told to stop. ConfigurationError when one cannot be called."""
    called = {name: Called(name, handler) for name, handler in settings.handlers.items()}
    slots: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(CALLS))
    group = group_of("handlers", topics.DISPATCH)
    publisher = Publisher(settings.kafka_client)
    await publisher.warm_up(topics.DISPATCH)
    raw = RawReader(settings.kafka_client, BlobStore(settings.blobs_url), "handlers")
    # A webhook is called as it is written, and where it redirects nobody follows.
    async with httpx.AsyncClient(follow_redirects=False, timeout=None, trust_env=False) as client:

        async def handle(command: Dispatch) -> list[Record]:
            async with slots[command.targets[0].address]:
                attempt = await _attempt(command, called, raw, client, settings.console.base_url)
            counter(metrics.HANDLER_CALLS).labels(attempt.outcome).inc()
            delays: list[timedelta] = settings.delivery.retry
            return conclude(command, [attempt], delays, settings.delivery.retry_names)

        consumer = CommandConsumer("handlers", group, settings, publisher, _wants, handle, give_up, WINDOW)
        readiness.set()
        _log.info("handling: %s", ", ".join(called) or "no handlers are configured")
        await consumer.run(stop)
    raw.close()
    await publisher.close()


async def _attempt(
    command: Dispatch, called: dict[str, Called], raw: RawReader, client: httpx.AsyncClient, base_url: str
) -> Attempt:
    name = command.targets[0].address
    if name not in called:
        return _not_called(command, name, Reason.CONFIGURATION_ERROR, f"there is no handler '{name}' any more")
    try:
        _, octets = await raw.read(command.raw)
    except InvalidEvent as why:
        expired = clock.now() >= command.expires_at
        return _not_called(command, name, Reason.EXPIRED if expired else Reason.INTERNAL_ERROR, str(why))
    mail = await asyncio.to_thread(describe_mail, command, octets, base_url)
    with histogram(metrics.HANDLER_SECONDS).time():
        return await called[name].call(client, mail, command.attempt)


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
