"""The one shape of a Faust app here: records go through `handle` side by side, and are acknowledged in their order.

A record is acknowledged after everything that follows from it has been acknowledged by Kafka. What a dependency refuses is
tried again in place; what cannot be read is put aside as a dead letter; a bug ends the process, which is started again and
replays (docs/decisions/0003-faust.md).
"""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import faust
import uvloop
from confluent_kafka import Consumer, KafkaException, TopicPartition
from faust.types import EventT
from mode.supervisors import CrashingSupervisor

from contracts import metrics
from contracts.dead_letter import dead_letter
from contracts.errors import InvalidEvent, Unavailable
from contracts.settings import Settings
from runtime.health import Readiness, serve_health
from runtime.publish import Publisher, Record
from runtime.run_stage import instance_name

_log = logging.getLogger("mailscope.processors")
IN_FLIGHT = 500  # records that are worked on at a time
STUCK = 60.0  # seconds without progress, with records waiting and none in work, after which the worker is restarted


class Source:
    """One record as it was read."""

    def __init__(self, event: EventT[Any]) -> None:
        message = event.message
        self.topic: str = message.topic
        self.partition: int = message.partition
        self.offset: int = message.offset
        self.key: bytes | None = message.key
        self.value: bytes | None = message.value
        headers = message.headers or []
        self.headers: list[tuple[str, bytes]] = list(headers.items() if isinstance(headers, dict) else headers)


Handle = Callable[[Source], Awaitable[list[list[Record]]]]  # what to publish, group after group


class OrderedAcks:
    """Works on many records at once and acknowledges them in the order in which they came (per process)."""

    def __init__(self, name: str, handle: Handle, publisher: Publisher) -> None:
        self._name = name
        self._handle = handle
        self._publisher = publisher
        self._waiting: deque[tuple[EventT[Any], asyncio.Task[None]]] = deque()
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.acknowledged = 0
        self._collector = asyncio.get_running_loop().create_task(self._collect())

    @property
    def in_flight(self) -> int:
        """Records that are being worked on."""
        return len(self._waiting)

    async def submit(self, event: EventT[Any]) -> None:
        """Start on a record; waits while too many are in work."""
        await self._room.wait()
        task = asyncio.get_running_loop().create_task(self._work(event))
        self._waiting.append((event, task))
        self._more.set()
        if len(self._waiting) >= IN_FLIGHT:
            self._room.clear()

    async def _collect(self) -> None:
        while True:
            while not self._waiting:
                self._more.clear()
                await self._more.wait()
            event, task = self._waiting[0]
            try:
                await task
            except Exception:
                # Nothing after this record was acknowledged: the restarted worker reads it again.
                _log.critical("a bug stops this worker at %s", _place(event), exc_info=True)
                logging.shutdown()
                os._exit(70)  # EX_SOFTWARE
            event.ack()
            self.acknowledged += 1
            self._waiting.popleft()
            self._room.set()

    async def _work(self, event: EventT[Any]) -> None:
        source = Source(event)
        result = "done"
        with metrics.process_seconds.labels(self._name).time():
            pause = 0.1
            while True:
                try:
                    try:
                        for group in await self._handle(source):
                            await self._publisher.publish_all(group)
                    except InvalidEvent as why:
                        result = "dead_letter"
                        await self._publisher.publish_all([letter_for(f"processors.{self._name}", why, source)])
                    break
                except Unavailable as error:
                    _log.warning("waiting at %s: %s", _place(event), error)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 10.0)
        metrics.processed.labels(self._name, result).inc()


def letter_for(stage: str, why: InvalidEvent, source: Source) -> Record:
    """The dead letter of a record."""
    return dead_letter(
        stage,
        why,
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
        key=source.key,
        value=source.value,
        headers=source.headers,
    )


def _place(event: EventT[Any]) -> str:
    message = event.message
    return f"{message.topic}[{message.partition}]@{message.offset}"


def run_app(name: str, topic: str, settings: Settings, health_port: int, start: Callable[[Publisher], Handle]) -> None:
    """Run one app until SIGTERM. `start` is called in the event loop and gives the handler of records."""
    readiness = Readiness()
    serve_health(settings.metrics.host, settings.metrics.port + health_port, readiness)
    folder = settings.data_dir / "faust" / name  # Faust insists on one, and keeps nothing in it: we use no tables
    folder.mkdir(parents=True, exist_ok=True)
    uvloop.install()
    app = faust.App(
        f"mailscope-{name}",
        broker=[f"aiokafka://{server}" for server in settings.kafka.bootstrap.split(",")],
        broker_credentials=_credentials(settings),
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
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
        broker_request_timeout=30.0,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=instance_name(name),
        producer_linger=0,
        web_enabled=False,
        reply_create_topic=False,
    )
    source = app.topic(topic, value_type=bytes, key_type=bytes)
    state: dict[str, OrderedAcks] = {}

    @app.agent(source, name=f"{name}.work", concurrency=1, supervisor_strategy=CrashingSupervisor)  # type: ignore[untyped-decorator]
    async def work(stream: Any) -> None:
        # IN_FLIGHT bounds what is in work; `within` (seconds) is the price of a batch in latency.
        publisher = Publisher(settings.kafka_client, linger_ms=0.5)
        await publisher.warm_up(topic)
        records = state["records"] = OrderedAcks(name, start(publisher), publisher)
        readiness.set()
        _log.info("%s reads %s", name, topic)
        async for batch in stream.noack_take(500, within=0.005):
            for event in batch:
                await records.submit(event)

    @app.task  # type: ignore[untyped-decorator]
    async def watch() -> None:
        """The worker is restarted when it stands still (faust issues 523, 532, 629), and its lag is a metric."""
        lag = Lag(settings, f"mailscope-{name}", topic)
        still_since, seen = time.monotonic(), -1
        while True:
            await asyncio.sleep(2.0)
            waiting = await asyncio.to_thread(lag.measure)
            metrics.processors_lag.labels(name).set(waiting)
            records = state.get("records")
            moved = records is None or records.acknowledged != seen or records.in_flight > 0
            if moved or not waiting:
                still_since = time.monotonic()
                seen = records.acknowledged if records is not None else -1
            elif time.monotonic() - still_since > STUCK:
                _log.critical("%s stands still with %d records waiting: restarting", name, waiting)
                logging.shutdown()
                os._exit(70)

    worker = faust.Worker(app, loglevel="WARN", override_logging=False, console_port=0, quiet=True)
    worker.execute_from_commandline()


class Lag:
    """How far a consumer group is behind a topic, in records."""

    def __init__(self, settings: Settings, group: str, topic: str) -> None:
        self._topic = topic
        self._consumer = Consumer(
            {
                **settings.kafka_client,
                "group.id": group,
                "enable.auto.commit": False,
                "log_level": 2,
                "error_cb": lambda error: None,
            }
        )

    def measure(self) -> int:
        """End offsets minus committed offsets, summed over partitions; 0 when the brokers do not answer."""
        try:
            metadata = self._consumer.list_topics(self._topic, 5.0).topics[self._topic]
            partitions = [TopicPartition(self._topic, number) for number in metadata.partitions]
            behind = 0
            for committed in self._consumer.committed(partitions, 5.0):
                low, high = self._consumer.get_watermark_offsets(committed, 5.0)
                behind += high - max(committed.offset, low)
            return behind
        except KafkaException:
            return 0


def _credentials(settings: Settings) -> Any:
    """SASL and TLS for Faust's client, from the librdkafka properties of `kafka.properties`."""
    import ssl

    properties = settings.kafka.properties
    protocol = properties.get("security.protocol", "plaintext").lower()
    if protocol == "plaintext":
        return None
    context = None
    if protocol.endswith("ssl"):
        context = ssl.create_default_context(cafile=properties.get("ssl.ca.location"))
        if "ssl.certificate.location" in properties:
            context.load_cert_chain(properties["ssl.certificate.location"], properties.get("ssl.key.location"))
    if not protocol.startswith("sasl"):
        return faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=properties.get("sasl.username"),
        password=properties.get("sasl.password"),
        ssl_context=context,
        mechanism=properties.get("sasl.mechanism", properties.get("sasl.mechanisms", "PLAIN")),
    )
