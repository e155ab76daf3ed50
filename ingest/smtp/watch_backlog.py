"""Taking no more mail while what was taken waits for hours: a sender that is told 451 keeps its mail, long before `mail.raw` expires."""

import asyncio
import logging

from contracts import topics
from contracts.setting_types import format_duration
from contracts.settings import Settings
from contracts.stages import group_of
from ingest.smtp.receive_mail import MailReceiver
from runtime.watch_lag import OldestWaiting

_log = logging.getLogger("mailscope.smtp")
INTERVAL = 15.0  # seconds between two looks


async def watch_backlog(settings: Settings, receiver: MailReceiver, interval: float = INTERVAL) -> None:
    """Look until cancelled. Where nobody answers nothing changes: without Kafka a message is answered 451 anyway."""
    limit = settings.smtp.max_backlog
    waiting = OldestWaiting(settings.kafka_client, group_of("inbound", topics.RAW), topics.RAW, limit.total_seconds())
    try:
        while True:
            behind = await asyncio.to_thread(waiting.measure)
            if behind is not None:
                if behind and not receiver.closed:
                    age = format_duration(limit)
                    _log.error(
                        "mail waits for the processors for more than %s: no more is taken until they get on", age
                    )
                elif receiver.closed and not behind:
                    _log.info("the processors get on: mail is taken again")
                receiver.closed = behind
            await asyncio.sleep(interval)
    finally:
        waiting.close()
