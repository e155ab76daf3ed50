"""Large messages are kept as long as the store's row that points at them, and no longer."""

import asyncio
import logging
from datetime import timedelta

from contracts import clock
from contracts.errors import Unavailable
from contracts.settings import Settings
from runtime.blobs import open_blobs

_log = logging.getLogger("mailscope.clickhouse")
INTERVAL = 3600.0  # seconds


async def expire_blobs(settings: Settings, stop: asyncio.Event) -> None:
    """Look once an hour until told to stop. A blob outlives its row and its last delivery by a day."""
    blobs = open_blobs(settings)
    kept = max(settings.store.raw_retention, settings.delivery.expire) + timedelta(days=1)
    while not stop.is_set():
        try:
            gone = await asyncio.to_thread(blobs.expire, clock.now() - kept)
            if gone:
                _log.info("deleted %d large messages that are older than %d days", gone, kept.days)
        except Unavailable as error:
            _log.warning("large messages were not expired: %s", error)
        try:
            await asyncio.wait_for(stop.wait(), INTERVAL)
        except TimeoutError:
            continue
