"""What the broker is told: its properties and its Java command line. Pure; nothing is started here.

Every value was measured on a small machine; where one is not obvious, its reason stands beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"

JVM_FLAGS = (
    "-Xmx192m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=48m",
    "-Xss512k",
    "-XX:+ExitOnOutOfMemoryError",  # a broker that limps is worse than one that is restarted
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-Djava.awt.headless=true",
    # Kafka unmaps its indexes by the one and unpacks lz4 by the other; Java would warn of both at each start.
    "--sun-misc-unsafe-memory-access=allow",
    "--illegal-native-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
)


@dataclass(frozen=True)
class Secured:
    """How a broker knows who speaks to it: its properties, who is in it from the beginning, and what a client of ours needs."""

    properties: Mapping[str, str]
    scram: Mapping[str, str]  # passwords by user
    client: Mapping[str, str]  # librdkafka properties


@dataclass(frozen=True)
class Broker:
    """A Kafka node, broker and controller in one process: where it keeps its data and where it listens."""

    folder: Path
    port: int  # for clients
    controller_port: int  # for itself and its peers
    node_id: int = 1
    voters: tuple[str, ...] = ()  # `id@host:port` of every node of its cluster; empty: it is alone
    secured: "Secured | None" = None  # None: it trusts this machine

    @property
    def copies(self) -> int:
        """How many copies of what Kafka keeps about itself there are."""
        return min(3, len(self.voters) or 1)

    @property
    def bootstrap(self) -> str:
        """What clients are given as `bootstrap.servers`."""
        return f"{HOST}:{self.port}"

    @property
    def data(self) -> Path:
        """The folder of the partitions."""
        return self.folder / "log"

    @property
    def properties_file(self) -> Path:
        """The file that `properties()` is written to."""
        return self.folder / "server.properties"

    @property
    def log_file(self) -> Path:
        """What the broker has to say, at WARN and above, since its last start."""
        return self.folder / "kafka.log"

    @property
    def previous_log_file(self) -> Path:
        """The same of the broker before it: what it said before it died."""
        return self.folder / "kafka.previous.log"

    @property
    def formatted(self) -> bool:
        """Whether the storage was formatted: its last step writes this file."""
        return (self.data / "meta.properties").exists()


def properties(broker: Broker) -> str:
    """`server.properties` of the broker."""
    settings: dict[str, str | int] = {
        "process.roles": "broker,controller",
        "node.id": broker.node_id,
        **_quorum(broker),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{HOST}:{broker.port},CONTROLLER://{HOST}:{broker.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{broker.port},CONTROLLER://{HOST}:{broker.controller_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(broker.data),
        "default.replication.factor": broker.copies,
        "min.insync.replicas": max(1, broker.copies - 1),
        "offsets.topic.replication.factor": broker.copies,
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.replication.factor": broker.copies,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 2,
        "share.coordinator.state.topic.replication.factor": broker.copies,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "auto.create.topics.enable": "false",  # topics are declared, never a typing error
        "group.initial.rebalance.delay.ms": 0,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "log.segment.bytes": 67108864,
        # The default of 128 MB comes out of the heap: with it everything stalls every few hundred records.
        "log.cleaner.dedupe.buffer.size": 8388608,
        # A broker that was killed waits this long to be let in again: 9 s by default.
        "broker.session.timeout.ms": 2000,
        "broker.heartbeat.interval.ms": 500,
        **(broker.secured.properties if broker.secured else {}),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _quorum(broker: Broker) -> dict[str, str]:
    if broker.voters:
        return {"controller.quorum.voters": ",".join(broker.voters)}
    return {"controller.quorum.bootstrap.servers": f"{HOST}:{broker.controller_port}"}


def jvm_flags(broker: Broker, sharing: Sequence[str]) -> list[str]:
    """Flags for a broker of about 200 MB that listens within a second or two. `sharing` names its class archive."""
    return [*JVM_FLAGS, *sharing, f"-Dorg.slf4j.simpleLogger.logFile={broker.log_file}"]


def broker_command(broker: Broker, java: Path, classpath: str, sharing: Sequence[str] = ()) -> list[str]:
    """The command that is the broker."""
    return [str(java), *jvm_flags(broker, sharing), "-cp", classpath, "kafka.Kafka", str(broker.properties_file)]


def format_command(broker: Broker, java: Path, classpath: str, cluster_id: str) -> list[str]:
    """The command that prepares an empty folder for the broker, once."""
    flags = ["-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]
    tool = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(broker.properties_file)]
    if not broker.voters:
        tool.append("--standalone")
    for user, password in broker.secured.scram.items() if broker.secured else ():
        tool += ["--add-scram", f"SCRAM-SHA-512=[name={user},password={password}]"]
    return [str(java), *flags, "-cp", classpath, *tool]
