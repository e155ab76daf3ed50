"""The sink `clickhouse`: events, raw messages and dead letters into the log store."""

import asyncio
import logging

from contracts import topics
from contracts.errors import Unavailable
from contracts.settings import Settings
from contracts.stages import stage
from runtime.blobs import open_blobs
from runtime.follow_erasures import follow_erasures
from runtime.health import Readiness
from runtime.load_secret import load_secret
from runtime.open_store import Store
from runtime.publish import Publisher
from sinks.clickhouse.build_hours import build_hours
from sinks.clickhouse.erase_addresses import erase_addresses
from sinks.clickhouse.expire_blobs import expire_blobs
from sinks.clickhouse.insert_rows import Inserter
from sinks.clickhouse.keep_erased_out import ErasedAddresses
from sinks.clickhouse.migrate_store import prepare_store
from sinks.clickhouse.sweep_open import sweep_open
from sinks.clickhouse.track_completeness import track_completeness

_log = logging.getLogger("mailscope.clickhouse")
PAUSE = 2.0  # seconds between two looks whether the store can be used


async def run_clickhouse_alone(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """The sink in a process of its own, beside a ClickHouse server."""
    await run_clickhouse(settings, Store(settings), stop, readiness)


async def run_clickhouse(settings: Settings, store: Store, stop: asyncio.Event, readiness: Readiness) -> None:
    """Wait for the store and its schema, then insert until told to stop."""
    await _prepare(settings, store, readiness)
    publisher = Publisher(settings.kafka_client)
    await publisher.warm_up(topics.EVENTS)
    # Nothing is inserted before it is known what was erased: a rebuild would bring it back.
    erasures = follow_erasures(settings.kafka_client)
    await erasures.ready(60)
    erased = ErasedAddresses(erasures, load_secret(settings))
    inserters = [Inserter(group, settings, store, publisher, erased) for group in stage("clickhouse").groups]
    readiness.set()
    _log.info("inserting")
    beside = [
        asyncio.create_task(track_completeness(settings, store, stop)),
        asyncio.create_task(build_hours(store, stop)),
        asyncio.create_task(expire_blobs(settings, stop)),
        asyncio.create_task(sweep_open(settings, store, publisher, stop)),
        asyncio.create_task(erase_addresses(erasures, erased, inserters, store, open_blobs(settings), publisher, stop)),
    ]
    inserting = [asyncio.create_task(inserter.run(stop)) for inserter in inserters]
    try:
        await asyncio.wait(inserting, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        stop.set()
        ended = await asyncio.gather(*inserting, *beside, return_exceptions=True)
        await erasures.close()
        await publisher.close(1)
    for result in ended:
        if isinstance(result, BaseException):
            raise result


async def _prepare(settings: Settings, store: Store, readiness: Readiness) -> None:
    while True:
        try:
            done = await asyncio.to_thread(prepare_store, store, settings)
        except Unavailable as error:
            if str(error) != readiness():
                _log.warning("waiting: %s", error)
            readiness.set(str(error))
            await asyncio.sleep(PAUSE)
        else:
            for line in done:
                _log.info("%s", line)
            return
