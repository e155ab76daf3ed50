"""The sink `delivery`: forwards and outbound mail leave over SMTP."""

import asyncio
import logging

from contracts import topics
from contracts.events import Action, Dispatch
from contracts.settings import Settings
from contracts.stages import group_of
from runtime.blobs import BlobStore
from runtime.health import Readiness
from runtime.publish import Publisher
from runtime.resolve_dns import DnsResolver
from sinks.delivery.deliver import Deliverer
from sinks.dispatch.conclude import give_up
from sinks.dispatch.consume_commands import CommandConsumer
from sinks.dispatch.fetch_raw import RawReader

WINDOW = 5000  # commands at a time; most of them wait for a slot of their domain, without their message
_log = logging.getLogger("mailscope.delivery")


async def run_delivery(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """Deliver until told to stop."""
    group = group_of("delivery", topics.DISPATCH)
    publisher = Publisher(settings.kafka_client)
    await publisher.warm_up(topics.DISPATCH)
    raw = RawReader(settings.kafka_client, BlobStore(settings.blobs_url), "delivery")
    resolver = DnsResolver(settings.dns.nameservers, timeout=settings.dns.timeout.total_seconds())
    deliverer = Deliverer(settings.delivery, settings.helo, raw, resolver)
    consumer = CommandConsumer("delivery", group, settings, publisher, _wants, deliverer.deliver, give_up, WINDOW)
    readiness.set()
    _log.info("delivering")
    await consumer.run(stop)
    raw.close()
    await publisher.close()


def _wants(command: Dispatch) -> bool:
    return command.action in (Action.DELIVER, Action.FORWARD)
