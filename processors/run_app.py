"""The one shape of a Faust app here: records are worked on side by side, and acknowledged in the order of their partition.

A record is acknowledged after everything that follows from it has been acknowledged by Kafka. What a dependency refuses is
tried again in place; what cannot be read, or crashes us, is put aside as a dead letter and told in the log (docs/flow.md, Trouble).
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any, Protocol

import faust
import uvloop
from faust.exceptions import ConsumerNotStarted
from faust.types import EventT
from mode.supervisors import CrashingSupervisor

from contracts import metrics, stages
from contracts.errors import InvalidEvent, Unavailable
from contracts.records import ConsumedRecord, Place, Record
from contracts.settings import Settings
from processors.acknowledge_in_order import OrderedAcks
from runtime.connect_kafka import FAUST_SESSION_MS, NEW_PARTITIONS_MS, faust_credentials
from runtime.expose_metrics import counter, gauge, histogram
from runtime.health import Readiness
from runtime.publish import Publisher
from runtime.put_aside import put_aside
from runtime.run_stage import instance_name
from runtime.suspect_records import SuspectRecords
from runtime.watch_lag import Lag, watch_lag

_log = logging.getLogger("mailscope.processors")
IN_FLIGHT = 500  # records that are worked on at a time
# Of records and what follows from them; large messages are in the blob store, and have a budget of their own.
IN_FLIGHT_OCTETS = 48 << 20
PATIENCE = 30.0  # seconds that a record waits in its place for a dependency other than Kafka
MOST_WAITING = 100  # records that wait so; more have IMPATIENCE
IMPATIENCE = 1.0
REVOKE_GRACE = 5.0  # seconds that a rebalance waits for what is in work


class App(Protocol):
    """What decides about the records of one topic."""

    def begin(self, publisher: Publisher) -> None:
        """Called once, in the event loop, before the first record."""

    async def handle(self, source: ConsumedRecord) -> list[list[Record]]:
        """What to publish about one record, group after group. Unavailable: try again; anything else: put it aside."""

    def tell_failed(self, source: ConsumedRecord, why: str) -> list[Record]:
        """What the log shall say of a record that was put aside; may raise where the record does not even say of which mail."""

    def weigh(self, source: ConsumedRecord) -> int:
        """About how many octets a record takes while it is in work, with what is to be published about it."""

    def forget_partitions(self, partitions: Iterable[int]) -> None:
        """These partitions went elsewhere: what is known of their records does not hold any more."""


class RecordWork:
    """One record, from reading it to the acknowledgement of all that follows from it."""

    def __init__(self, name: str, app: App, publisher: Publisher, suspects: SuspectRecords) -> None:
        self._name = name
        self._app = app
        self._publisher = publisher
        self._suspects = suspects
        self._waiting = 0

    async def __call__(self, source: ConsumedRecord) -> None:
        """Work on one record. Waits while a dependency is away; raises only for a bug in putting things aside."""
        with histogram(metrics.PROCESS_SECONDS).labels(self._name).time():
            try:
                result, groups = await self._decide(source)
                for group in groups:
                    await self._publish(group)
            except Exception as why:  # one record must not hold up the others
                result = "dead_letter"
                await self._put_aside(source, why)
        counter(metrics.PROCESSED).labels(self._name, result).inc()

    async def _publish(self, records: list[Record]) -> None:
        await self._publisher.publish_until_done(records, f"processors.{self._name}")

    async def _put_aside(self, source: ConsumedRecord, why: Exception) -> None:
        letter, *told = put_aside(f"processors.{self._name}", why, source, self._app.tell_failed)
        await self._publish([letter])
        try:
            await self._publish(told)
        except InvalidEvent as too_large:  # the dead letter stands, whatever can be told of it
            _log.error("processors.%s cannot tell that %s failed: %s", self._name, source, too_large)

    async def _decide(self, source: ConsumedRecord) -> tuple[str, list[list[Record]]]:
        """(result, what to publish). What waits long for something other than Kafka is parked: written again at the end of its
        topic, so that it holds up neither its partition nor the others' turn."""
        began, pause = time.monotonic(), 0.1
        while True:
            try:
                return "done", await self._handle(source)
            except Unavailable as error:
                patience = PATIENCE if self._waiting < MOST_WAITING else IMPATIENCE
                if error.what != "Kafka" and time.monotonic() - began >= patience:
                    _log.warning("parked %s: %s", source, error)
                    return "parked", [[_again(source)]]
                _log.warning("waiting at %s: %s", source, error)
                self._waiting += 1
                try:
                    await asyncio.sleep(pause)
                finally:
                    self._waiting -= 1
                pause = min(pause * 2, 10.0)

    async def _handle(self, source: ConsumedRecord) -> list[list[Record]]:
        async with self._suspects.in_work(source):
            return await self._app.handle(source)


def _again(source: ConsumedRecord) -> Record:
    key = (source.key or b"").decode("utf-8", "replace")
    return Record(source.topic, key, source.value, source.headers, source.partition)


def run_app(name: str, topic: str, decides: App, settings: Settings, readiness: Readiness) -> None:
    """Run one app until SIGTERM, in an event loop of Faust's."""
    group = stages.group_of(name, topic)
    app = _faust_app(name, group, settings)
    source = app.topic(topic, value_type=bytes, key_type=bytes)
    state: dict[str, OrderedAcks] = {}

    @app.agent(source, name=f"{name}.work", concurrency=1, supervisor_strategy=CrashingSupervisor)  # type: ignore[untyped-decorator]
    async def work(stream: Any) -> None:
        publisher = Publisher(settings.kafka_client, linger_ms=0.5)
        suspects = SuspectRecords(settings.data_dir / "run" / f"{instance_name(name)}.suspects")
        await publisher.warm_up(topic)
        decides.begin(publisher)
        records = OrderedAcks(
            RecordWork(name, decides, publisher, suspects), IN_FLIGHT, IN_FLIGHT_OCTETS, decides.weigh
        )
        state["records"] = records
        readiness.set()
        _log.info("%s reads %s", name, topic)
        async for batch in stream.noack_take(500, within=0.005):  # `within` is the price of a batch in latency, seconds
            for event in batch:
                await records.submit(event, take_record(event))

    @app.task  # type: ignore[untyped-decorator]
    async def watch() -> None:
        await watch_lag(
            name,
            Lag(settings.kafka_client, group, [topic]),
            assigned=lambda: _assigned(app),
            progress=lambda: state["records"].acknowledged if "records" in state else -2,
            busy=lambda: "records" in state and state["records"].in_flight > 0,
            tell=gauge(metrics.PROCESSORS_LAG).labels(name).set,
        )

    @app.on_partitions_revoked.connect  # type: ignore[untyped-decorator]
    async def forget(_app: Any, revoked: Iterable[Any], **_more: Any) -> None:
        partitions = {part.partition for part in revoked}
        if "records" in state:  # Faust waits for this before it gives them back
            await state["records"].let_end(partitions, REVOKE_GRACE)
        decides.forget_partitions(partitions)

    worker = faust.Worker(app, loglevel="WARN", override_logging=False, console_port=0, quiet=True)
    worker.execute_from_commandline()


def _faust_app(name: str, group: str, settings: Settings) -> Any:
    folder = settings.data_dir / "faust" / name  # Faust insists on one, and keeps nothing in it: we use no tables
    folder.mkdir(parents=True, exist_ok=True)
    uvloop.install()
    return faust.App(
        group,
        broker=[f"aiokafka://{server}" for server in settings.kafka.bootstrap.split(",")],
        broker_credentials=faust_credentials(settings),
        value_serializer="raw",
        key_serializer="raw",
        store="memory://",
        datadir=str(folder),
        topic_disable_leader=True,
        topic_allow_declare=False,
        stream_wait_empty=False,
        stream_buffer_maxsize=512,
        broker_max_poll_records=500,
        broker_commit_interval=0.5,
        broker_session_timeout=FAUST_SESSION_MS / 1000,
        broker_heartbeat_interval=2.0,
        broker_request_timeout=30.0,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=NEW_PARTITIONS_MS,
        consumer_group_instance_id=instance_name(name),
        producer_linger=0,
        web_enabled=False,
        reply_create_topic=False,
    )


def _assigned(app: Any) -> set[Place]:
    try:
        return {(part.topic, part.partition) for part in app.consumer.assignment()}
    except ConsumerNotStarted:
        return set()


def take_record(event: EventT[Any]) -> ConsumedRecord:
    """The record of an event, taken out of it: what is left is what acknowledging needs, and that may have to wait for others."""
    message = event.message
    headers = message.headers or []
    record = ConsumedRecord(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        list(headers.items() if isinstance(headers, dict) else headers),
        int((message.timestamp or 0) * 1000),
    )
    event.key = event.value = message.key = message.value = message.headers = None
    event.headers = {}
    return record
