"""The sink `delivery`: forwards and outbound mail leave over SMTP."""

import asyncio
import logging
from functools import partial

from contracts import topics
from contracts.events import Action, Dispatch
from contracts.settings import Delivery, Settings
from contracts.stages import group_of
from runtime.blobs import open_blobs
from runtime.health import Readiness
from runtime.publish import Publisher
from runtime.resolve_dns import DnsResolver
from runtime.run_stage import instance_name
from runtime.suspect_records import SuspectRecords
from sinks.delivery.deliver import Deliverer
from sinks.dispatch.consume_commands import CommandConsumer
from sinks.dispatch.fetch_raw import RawReader
from sinks.dispatch.job import Job
from sinks.dispatch.lanes import NO_LIMITS, Limits
from sinks.dispatch.report_attempt import give_up

_log = logging.getLogger("mailscope.delivery")


async def run_delivery(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """Deliver until told to stop. Unavailable when a topic that it needs is missing."""
    publisher = Publisher(settings.kafka_client)
    for topic in (topics.DISPATCH, topics.ATTEMPTS, *map(topics.retry_topic, settings.delivery.retry_names)):
        await publisher.warm_up(topic)
    raw = RawReader(settings.kafka_client, open_blobs(settings), "delivery")
    await raw.warm_up(topics.RAW)
    resolver = DnsResolver(settings.dns.nameservers, timeout=settings.dns.timeout.total_seconds())
    suspects = SuspectRecords(settings.data_dir / "run" / f"{instance_name('delivery')}.suspects")
    deliverer = Deliverer(settings.delivery, settings.helo, raw, resolver, suspects)
    consumer = CommandConsumer(
        "delivery",
        group_of("delivery", topics.DISPATCH),
        settings,
        publisher,
        _wants,
        _destination,
        deliverer.deliver,
        give_up,
        slots=settings.delivery.concurrency,
        per_lane=settings.delivery.per_domain,
        limits_of=partial(_limits, settings.delivery),
    )
    closing = asyncio.create_task(_close_idle(deliverer))
    readiness.set()
    _log.info("delivering")
    try:
        await consumer.run(stop, settings.delivery.drain_timeout.total_seconds())
    finally:
        closing.cancel()
        suspects.close()
        deliverer.sessions.close()
        raw.close()
        await publisher.close()


async def _close_idle(deliverer: Deliverer) -> None:
    while True:
        await asyncio.sleep(1.0)
        deliverer.sessions.close_idle()


def _limits(settings: Delivery, lane: str) -> Limits:
    """What holds for a destination; each part of a split one (`delivery.split`) has all of it."""
    given = settings.destinations.get(lane.partition("#")[0])
    return Limits(given.connections, given.rate) if given is not None else NO_LIMITS


def _wants(command: Dispatch) -> bool:
    return command.action in (Action.DELIVER, Action.FORWARD)


def _destination(job: Job) -> str:
    return job.key
