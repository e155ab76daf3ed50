"""The one place for the settings of Kafka's clients. A client made here is heard: what it complains of is logged once in a while
and counted, and a fatal error (a broken producer, KIP-360; a fenced member, KIP-345) ends the process.

Every function takes librdkafka's properties of the configuration (`Settings.kafka_client`). Times in milliseconds.
"""

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient

from contracts import metrics, stages
from contracts.settings import Settings
from runtime.end_process import end_process
from runtime.expose_metrics import counter

Properties = dict[str, str]
# A member that is silent so long has left; a static one that is back earlier keeps its partitions. Shorter outages of Kafka put nobody out.
SESSION_MS = 30_000
FAUST_SESSION_MS = 10_000  # the same of the Faust apps
NEW_PARTITIONS_MS = 20_000  # within which members learn of them; what stands in one that nobody reads waits so long
MAX_RECORD = 1_000_000  # octets; any managed Kafka takes them, and a dead letter has room for its reason
LEAVING = 2.0  # seconds that a member waits for its partitions to be given back, before it closes
SAY_AGAIN = 30.0  # seconds between two log lines about the same trouble

_log = logging.getLogger("mailscope.kafka")
_AUTHENTICATION = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL}
_AUTHORIZATION = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
_CONNECTION = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.REQUEST_TIMED_OUT,
}


class Complaints:
    """What one client complains of. Called from librdkafka's threads."""

    def __init__(self, client: str, on_fatal: Callable[[str], object] = end_process) -> None:
        self._client = client
        self._on_fatal = on_fatal
        self._said: dict[int, float] = {}
        self._unsaid: dict[int, int] = {}

    def __call__(self, error: KafkaError) -> None:
        """One error of the client, or of a message that it gave."""
        code = error.code()
        fatal = is_fatal(error)
        kind = "fatal" if fatal else _kind(code)
        counter(metrics.KAFKA_ERRORS).labels(kind).inc()
        if fatal:
            self._on_fatal(f"Kafka's {self._client} broke: {error.str()}")
            return
        now = time.monotonic()
        if now - self._said.get(code, -SAY_AGAIN) < SAY_AGAIN:
            self._unsaid[code] = self._unsaid.get(code, 0) + 1
            return
        self._said[code] = now
        again = f" (and {self._unsaid.pop(code)} times before)" if code in self._unsaid else ""
        _log.warning("%s: %s: %s%s", self._client, error.name(), error.str(), again)


def is_fatal(error: KafkaError) -> bool:
    """Whether the client cannot go on. A fenced member says so by its code alone, without the flag."""
    return bool(error.fatal() or error.code() == KafkaError._FATAL)


def group_member(kafka: Properties, group: str, instance: str, **more: Any) -> Consumer:
    """A static member (KIP-345) of a consumer group of `contracts/stages.py`; it commits by hand. `instance` is unique among its
    like and stable over restarts. `more` are further properties, dots written as underscores."""
    return _consumer(
        kafka,
        group,
        {
            "group.instance.id": instance,
            "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": 2_000,
            "topic.metadata.refresh.interval.ms": NEW_PARTITIONS_MS,
            "auto.offset.reset": "earliest",
            **_dotted(more),
        },
    )


def leave_group(consumer: Consumer) -> None:
    """Give back all partitions and close; a static member keeps its place in the group for a session's time. A client that is closed
    while it is to be given partitions can hang for good (https://github.com/confluentinc/librdkafka/issues/4884): one that has none
    gives up its subscription first, and with it its place."""
    if not consumer.assignment():
        consumer.unsubscribe()
        until = time.monotonic() + LEAVING
        while time.monotonic() < until:
            consumer.poll(0.05)
            if not consumer.assignment():
                break
    consumer.close()


def reader(kafka: Properties, purpose: str, **more: Any) -> Consumer:
    """A consumer that is assigned its partitions by hand and commits nothing; its group's name is its own."""
    return _consumer(kafka, f"{stages.READER_PREFIX}{purpose}-{uuid.uuid4()}", _dotted(more))


def observer(kafka: Properties, group: str) -> Consumer:
    """A consumer that only asks: for watermarks, and for what a group has committed."""
    return _consumer(kafka, group, {})


def producer(kafka: Properties, *, timeout: float, linger_ms: float) -> Producer:
    """An idempotent producer (KIP-98), acks=all; a record waits at most `timeout` seconds for its acknowledgement."""
    return Producer(
        {
            **kafka,
            **_heard("producer"),
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # as aiokafka and the Java clients place a key
            "linger.ms": linger_ms,
            "compression.type": "lz4",
            "delivery.timeout.ms": int(timeout * 1000),
            "message.max.bytes": MAX_RECORD + 40_000,
        }
    )


def admin(kafka: Properties, *, quiet: bool = False) -> AdminClient:
    """For topics, groups and the state of the brokers. `quiet` is for a probe: that nobody answers is its answer."""
    heard = _heard("admin client", on_fatal=_log.error)
    return AdminClient({**kafka, **heard, **({"error_cb": lambda error: None} if quiet else {})})


def faust_credentials(settings: Settings) -> Any:
    """SASL and TLS for Faust's client, from the librdkafka properties of the configuration; None where neither is set."""
    import ssl

    import faust

    properties = settings.kafka_client
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


def _consumer(kafka: Properties, group: str, more: dict[str, Any]) -> Consumer:
    return Consumer(
        {
            **kafka,
            **_heard("consumer"),
            "group.id": group,
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 10,  # 1000 by default: it throttles a loop that consumes and produces
            **more,
        }
    )


def _heard(client: str, **options: Any) -> dict[str, Any]:
    return {
        "error_cb": Complaints(client, **options),
        "log_level": 2,  # what matters comes through error_cb
        "socket.nagle.disable": True,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
    }


def _dotted(more: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("_", ".") if name != "on_commit" else name: value for name, value in more.items()}


def _kind(code: int) -> str:
    if code in _AUTHENTICATION:
        return "authentication"
    if code in _AUTHORIZATION:
        return "authorization"
    return "connection" if code in _CONNECTION else "other"
