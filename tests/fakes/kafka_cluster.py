"""Three real brokers, each with a third of the leaders and a copy of everything."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local.configure_kafka import HOST, Broker
from local.run_kafka import LocalKafka, new_cluster_id

NODES = 3


class KafkaCluster:
    """Brokers at `port` and the two after it, their controllers at the three after those. Nodes are numbered from 0."""

    def __init__(self, folder: Path, port: int) -> None:
        voters = tuple(f"{node + 1}@{HOST}:{port + NODES + node}" for node in range(NODES))
        cluster_id = new_cluster_id()
        self.nodes = []
        for node in range(NODES):
            kafka = LocalKafka(folder / f"kafka-{node}", port + node)
            kafka.broker = Broker(folder / f"kafka-{node}", port + node, port + NODES + node, node + 1, voters)
            kafka.cluster_id = cluster_id
            self.nodes.append(kafka)
        # A broker dies with the thread that started it, and none answers before most are there.
        self._threads = ThreadPoolExecutor(NODES)

    @property
    def bootstrap(self) -> str:
        return ",".join(kafka.bootstrap for kafka in self.nodes)

    def start(self, *nodes: int) -> None:
        """Start these, or all; returns when each answers."""
        list(self._threads.map(lambda node: self.nodes[node].start(120), nodes or range(NODES)))

    def kill(self, node: int) -> None:
        """End it as a power cut would."""
        self.nodes[node].kill()

    def stop(self) -> None:
        """End all, at once: nothing of it is needed any more."""
        for kafka in self.nodes:
            kafka.kill()
        self._threads.shutdown()
