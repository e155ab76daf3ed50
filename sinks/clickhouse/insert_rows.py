"""From Kafka into the log store: batches by rows, octets and age; the offset is committed after the insert.

Rows fold by keys that follow from the event (sinks/clickhouse/to_rows.py), so a batch that is inserted twice changes nothing.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from contracts import metrics, topics
from contracts.errors import InvalidEvent, Unavailable
from contracts.records import ConsumedRecord, Place
from contracts.settings import Settings
from contracts.stages import GROUP_PREFIX, Group
from runtime.connect_kafka import group_member, leave_group
from runtime.consume import read_records
from runtime.expose_metrics import counter, gauge, histogram
from runtime.open_store import Store, worth_a_retry
from runtime.publish import Publisher
from runtime.put_aside import put_aside
from runtime.run_stage import instance_name
from runtime.suspect_records import DEATHS, SUSPECT, SuspectRecords
from runtime.watch_lag import Reading, watch_positions
from sinks.clickhouse.keep_erased_out import NOTHING_ERASED, ErasedAddresses
from sinks.clickhouse.to_rows import (
    Row,
    Rows,
    audit_rows,
    call_rows,
    connectivity_rows,
    dead_letter_rows,
    event_rows,
    raw_rows,
)

_log = logging.getLogger("mailscope.clickhouse")
JOURNALED = 16_384  # records of a batch whose part in a death is known; a larger batch is known by its last ones


class Inserter:
    """One consumer group of the sink: one consumer and one thread. `run` returns when told to stop; a bug in it ends the process."""

    def __init__(
        self,
        group: Group,
        settings: Settings,
        store: Store,
        publisher: Publisher,
        erased: ErasedAddresses = NOTHING_ERASED,
    ) -> None:
        self._store = store
        self._erased = erased
        self._in_hand = threading.Lock()  # from the look at what is erased until the rows are inserted
        self._publisher = publisher
        self._loop = asyncio.get_running_loop()
        self._max_rows = settings.store.batch_rows
        self._max_octets = settings.store.batch_size
        self._age = settings.store.batch_age.total_seconds()
        self._types: dict[str, dict[str, str]] = {}
        self._closing = threading.Event()
        self._failed_commits: dict[Place, int] = {}
        self._topics = list(group.topics)
        self._group = group
        self._kafka = settings.kafka_client
        self._inserting = False
        self._positions: dict[Place, int] = {}
        journal = settings.data_dir / "run" / f"{instance_name('clickhouse')}.{group.name}.suspects"
        self._suspects = SuspectRecords(journal, slots=JOURNALED)
        self._consumer = group_member(
            settings.kafka_client,
            group.name,
            instance_name("clickhouse"),
            queued_max_messages_kbytes=32_768,
            on_commit=self._on_commit,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Insert until told to stop."""
        work = asyncio.ensure_future(asyncio.to_thread(self._work))
        waiter = asyncio.ensure_future(stop.wait())
        lag = gauge(metrics.SINKS_LAG).labels(self._group.name.removeprefix(GROUP_PREFIX))
        watch = asyncio.create_task(watch_positions(self._group.name, self._kafka, self._readings, lag.set))
        try:
            await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._closing.set()  # also when cancelled: a thread that goes on would keep the process from ending
            waiter.cancel()
            watch.cancel()
            self._suspects.forgive()
        await work

    async def _readings(self) -> dict[Place, Reading]:
        return {place: Reading(offset, self._inserting) for place, offset in self._positions.items()}

    def _note_positions(self) -> None:
        """In the thread that reads: the client serves one caller at a time, and whoever asks beside a reader may wait for ever."""
        try:
            at = self._consumer.position(self._consumer.assignment())
            # Of what was not read yet since it was assigned, only the brokers know where it begins.
            new = [part for part in at if part.offset < 0 and (part.topic, part.partition) not in self._positions]
            asked = self._consumer.committed(new, 5.0) if new else []
        except KafkaException:  # no answer
            return
        found = {
            (part.topic, part.partition): part.offset for part in [*at, *asked] if part.offset >= 0 or part in asked
        }
        places = {(part.topic, part.partition) for part in at}
        self._positions = {place: found.get(place, self._positions.get(place, -1)) for place in places}

    def _work(self) -> None:
        self._consumer.subscribe(self._topics)
        try:
            last = 0.0
            while not self._closing.is_set():
                batch = read_records(self._consumer, 1, 0.2)
                self._note_positions()
                if not batch:
                    self._commit_offsets(self._failed_commits)
                    continue
                # After a pause a record is shown at once; in a stream, batches of `batch_age` are gathered.
                octets = batch[0].size
                until = max(time.monotonic(), last + self._age)
                while len(batch) * 3 < self._max_rows and octets < self._max_octets:
                    wait = until - time.monotonic()
                    more = read_records(self._consumer, 200, max(wait, 0))
                    batch += more
                    octets += sum(source.size for source in more)
                    if time.monotonic() >= until:
                        break
                self._inserting = True
                self._insert_batch(batch)
                self._inserting = False
                last = time.monotonic()
        finally:
            leave_group(self._consumer)
            self._suspects.close()

    def _insert_batch(self, batch: list[ConsumedRecord]) -> None:
        """Insert a batch. One in which this process died more than once is inserted record by record, so that the one that is to blame
        shows. Unavailable when told to stop meanwhile."""
        if not any(self._suspects.deaths(source) >= SUSPECT for source in batch):
            self._insert(batch)
            return
        for source in batch:
            if self._closing.is_set():
                raise Unavailable("the log store", "told to stop")
            if self._suspects.deaths(source) >= DEATHS:
                why = f"this process died {DEATHS} times while it inserted this record"
                self._put_aside(source, InvalidEvent("process_died", why))
                self._commit([source])
                self._suspects.end(source)
            else:
                self._insert([source])

    @contextlib.contextmanager
    def _journal(self, sources: list[ConsumedRecord]) -> Iterator[None]:
        """Of these records this process may die, for the block: while it works on them, and not while it waits for the store."""
        if not self._closing.is_set():  # who is told to end is perhaps killed, whatever it works on
            for source in sources:
                self._suspects.begin(source)
        try:
            yield
        finally:  # an error is no death: it is told, and whoever runs this starts it anew
            for source in sources:
                self._suspects.rest(source)

    def pass_batch(self) -> None:
        """Return when no batch is in hand that was made into rows before this call."""
        with self._in_hand:
            return

    def _insert(self, sources: list[ConsumedRecord]) -> None:
        with self._in_hand:
            self._insert_rows(sources)
        for source in sources:
            self._suspects.end(source)
        self._commit(sources)

    def _insert_rows(self, sources: list[ConsumedRecord]) -> None:
        tables: dict[str, list[Row]] = defaultdict(list)
        for source in sources:
            try:
                rows = _rows(source, self._erased)
            except InvalidEvent as why:
                self._put_aside(source, why)
                continue
            for table, row in rows:
                tables[table].append(row)
        for table, rows_of_table in tables.items():
            self._insert_until_done(table, rows_of_table, sources)

    def _insert_until_done(self, table: str, rows: list[Row], sources: list[ConsumedRecord]) -> None:
        pause = 0.2
        while True:
            try:
                with histogram(metrics.STORE_INSERT_SECONDS).time(), self._journal(sources):
                    self._insert_once(table, rows)
                counter(metrics.STORE_ROWS).labels(table).inc(len(rows))
                return
            except (ClickHouseError, OSError, Unavailable) as error:
                if not worth_a_retry(error):
                    raise
                counter(metrics.STORE_RETRIES).inc()
                _log.warning("the log store does not take %d rows, trying again: %s", len(rows), str(error)[:300])
            self._rest(pause)
            pause = min(2 * pause, 10.0)

    def _insert_once(self, table: str, rows: list[Row]) -> None:
        client = self._store.client
        names = list(rows[0])
        if table not in self._types:
            described = client.query(f"DESCRIBE TABLE {table}").result_rows
            self._types[table] = {str(line[0]): str(line[1]) for line in described}
        columns: list[list[Any]] = [[row[name] for row in rows] for name in names]
        client.insert(
            table,
            columns,
            column_names=names,
            column_type_names=[self._types[table][name] for name in names],
            column_oriented=True,
        )

    def _rest(self, seconds: float) -> None:
        """Wait, and stay a member of the group meanwhile (max.poll.interval.ms)."""
        assigned = self._consumer.assignment()
        self._consumer.pause(assigned)
        if self._closing.wait(seconds):
            raise Unavailable("the log store", "told to stop while waiting for it")
        for stray in read_records(self._consumer, 1, 0):  # of a partition that we got this moment: read it again later
            self._consumer.seek(TopicPartition(stray.topic, stray.partition, stray.offset))
        self._consumer.resume(assigned)

    def _commit(self, sources: list[ConsumedRecord]) -> None:
        high: dict[Place, int] = {}
        for source in sources:
            place = (source.topic, source.partition)
            high[place] = max(high.get(place, 0), source.offset + 1)
        self._commit_offsets({**self._failed_commits, **high})

    def _commit_offsets(self, high: dict[Place, int]) -> None:
        ours = {(part.topic, part.partition) for part in self._consumer.assignment()}  # another one's may be further on
        offsets = [TopicPartition(*place, offset) for place, offset in high.items() if place in ours]
        self._failed_commits = {}
        if offsets:
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            except KafkaException as error:
                _log.warning("could not commit, and will insert again: %s", error)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        """Up to when the log is complete follows from what is committed: a commit that failed is made again."""
        for part in partitions:
            if error is not None or part.error is not None:
                self._failed_commits.setdefault((part.topic, part.partition), part.offset)

    def _put_aside(self, source: ConsumedRecord, why: InvalidEvent) -> None:
        if source.topic == topics.DEADLETTER:
            _log.error("a dead letter cannot be read and stays in Kafka only: %s", why)
            return
        records = put_aside("sinks.clickhouse", why, source)
        # A dead letter that cannot be written stops the sink: nothing is committed past it.
        asyncio.run_coroutine_threadsafe(self._publisher.publish_all(records), self._loop).result(150)


def _rows(source: ConsumedRecord, erased: ErasedAddresses) -> Rows:
    if source.topic == topics.EVENTS:
        return event_rows(source, erased)
    if source.topic == topics.CONNECTIVITY:
        return connectivity_rows(source)
    if source.topic == topics.CALLS:
        return call_rows(source)
    if source.topic == topics.AUDIT:
        return audit_rows(source, erased)
    return raw_rows(source, erased) if source.topic == topics.RAW else dead_letter_rows(source, erased)
