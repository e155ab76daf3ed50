"""Erases what was asked for on `mail.erasures`, one address after the other, and writes there that it is done, without the address.

The topic is the list of what is to be done: who is killed in the middle, or finds a store away, begins that address again. Of several
replicas each erases: the second finds little left.
"""

import asyncio
import logging
from collections.abc import Sequence

from clickhouse_connect.driver.exceptions import ClickHouseError
from msgspec.structs import replace

from contracts import clock, topics
from contracts.codec import HEADERS, encode_erasure
from contracts.erasures import Erasure
from contracts.errors import Unavailable
from contracts.records import Record
from runtime.blobs import BlobStore
from runtime.follow_table import FollowedTable
from runtime.open_store import Store
from runtime.publish import Publisher
from sinks.clickhouse.erase_address import Eraser
from sinks.clickhouse.insert_rows import Inserter
from sinks.clickhouse.keep_erased_out import ErasedAddresses

_log = logging.getLogger("mailscope.clickhouse")
SOURCE = "mailscope/sinks"
INTERVAL = 0.5  # seconds between two looks
PAUSE = 10.0  # seconds after trouble


async def erase_addresses(
    erasures: FollowedTable[Erasure],
    erased: ErasedAddresses,
    inserters: Sequence[Inserter],
    store: Store,
    blobs: BlobStore,
    publisher: Publisher,
    stop: asyncio.Event,
) -> None:
    """Erase until told to stop."""
    while not stop.is_set():
        wait = INTERVAL
        try:
            for one in erasures.snapshot().values():
                if one.done_at is None and not stop.is_set():
                    await _erase(one, erasures, erased, inserters, store, blobs, publisher)
        except (ClickHouseError, Unavailable, OSError) as error:
            _log.warning("an address was not erased yet, and will be later: %s", type(error).__name__)
            wait = PAUSE
        try:
            await asyncio.wait_for(stop.wait(), wait)
        except TimeoutError:
            continue


async def _erase(
    asked: Erasure,
    erasures: FollowedTable[Erasure],
    erased: ErasedAddresses,
    inserters: Sequence[Inserter],
    store: Store,
    blobs: BlobStore,
    publisher: Publisher,
) -> None:
    for inserter in inserters:  # a batch in hand was made before this erasure was known
        await asyncio.to_thread(inserter.pass_batch)
    what = await asyncio.to_thread(Eraser(store, blobs, erased, asked).run)
    done = replace(asked, address="", done_at=clock.now(), erased=what)
    record = Record(topics.ERASURES, done.digest, encode_erasure(done, SOURCE), HEADERS)
    await erasures.read_up_to(await publisher.publish_at(record))
    _log.info("erased an address: %d mails, %d messages, %d events redacted", what.mails, what.messages, what.redacted)
