"""The sink `subscriptions`: status webhooks, for those who do not read Kafka."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from contracts import clock, topics
from contracts.settings import Settings
from contracts.subscriptions import SubscriberState
from runtime.health import Readiness
from runtime.publish import Publisher
from sinks.subscriptions.send_changes import ChangeSender
from sinks.subscriptions.share_states import SubscriberStates

_log = logging.getLogger("mailscope.subscriptions")
THREADS = 8  # beside one for each subscription, which reads


async def run_subscriptions(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """Call subscribers until told to stop. Unavailable when a topic is missing."""
    publisher = Publisher(settings.kafka_client)
    for topic in (topics.SUBSCRIPTIONS, topics.CALLS, topics.STATUS_INBOUND, topics.STATUS_OUTBOUND):
        await publisher.warm_up(topic)
    states = SubscriberStates(settings.kafka_client, publisher)
    await states.ready(30.0)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(len(settings.subscriptions) + THREADS))
    try:
        senders = [
            ChangeSender(name, settings, states, publisher, await _known(name, states))
            for name in settings.subscriptions
        ]
        sending = [asyncio.create_task(sender.run(stop)) for sender in senders]
        readiness.set()
        _log.info("calling: %s", ", ".join(settings.subscriptions) or "no subscriptions are configured")
        await asyncio.wait([*sending, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        stop.set()  # one that fails ends the process
        await asyncio.gather(*sending)
    finally:
        await states.close()
        await publisher.close()


async def _known(name: str, states: SubscriberStates) -> SubscriberState:
    """What is known of a subscriber; of a new one, that it begins now."""
    state = states.get(name)
    if state is None:
        now = clock.now()
        await states.put(SubscriberState(subscription=name, since=now, changed_at=now))
        state = states.get(name)
        assert state is not None
    return state
