"""How the subscribers of the status webhooks are doing, by `mail.subscriptions`."""

import asyncio
from collections.abc import Iterator

from contracts import clock
from contracts.errors import Unavailable
from contracts.settings import Settings
from contracts.subscriptions import SubscriberHealth, SubscriberState
from sinks.subscriptions.share_states import follow_states

ADVICE = "mend it, or its URL and secret; it is tried again by itself, and at once where `mailscope sinks subscriptions` is started anew"


def look_at_subscribers(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """(subscription, what is known, what to do) of each; nothing to do where it takes what it is given. None where Kafka does not answer,
    which is told elsewhere."""
    if not settings.subscriptions:
        return
    try:
        states = asyncio.run(_read(settings))
    except Unavailable:
        return
    for name in settings.subscriptions:
        yield name, *_describe(states.get(name))


async def _read(settings: Settings) -> dict[str, SubscriberState]:
    table = follow_states(settings.kafka_client)
    try:
        await table.ready(5.0)
        return table.snapshot()
    finally:
        await table.close()


def _describe(state: SubscriberState | None) -> tuple[str, str]:
    if state is None:
        return "not called yet", ""
    if state.failing_since is None:
        return "active", ""
    paused = "paused, " if state.health is SubscriberHealth.PAUSED else ""
    return f"{paused}takes nothing since {clock.rfc3339(state.failing_since)}: {state.reason}", ADVICE
