"""Three real brokers, each with a third of the leaders and a copy of everything; who speaks to them may have to say who it is."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contracts.acls import principal, users
from local.configure_kafka import HOST, Broker, Secured
from local.run_kafka import LocalKafka, new_cluster_id
from tests.fakes.authority import Authority

NODES = 3
ADMIN = "admin"


class KafkaCluster:
    """Brokers at `port` and the two after it, their controllers at the three after those. Nodes are numbered from 0."""

    def __init__(self, folder: Path, port: int, secured: Secured | None = None) -> None:
        voters = tuple(f"{node + 1}@{HOST}:{port + NODES + node}" for node in range(NODES))
        cluster_id = new_cluster_id()
        self.nodes = []
        for node in range(NODES):
            kafka = LocalKafka(folder / f"kafka-{node}", port + node)
            own = folder / f"kafka-{node}"
            kafka.broker = Broker(
                own, port + node, port + NODES + node, node + 1, voters, _listening(secured, port, node)
            )
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


def secure(folder: Path) -> Secured:
    """TLS everywhere, SCRAM for who connects, certificates for the controllers, and nobody may do anything unless it is said: users of
    `contracts/acls.py`, and `admin`. A user's password is its name backwards."""
    authority = Authority(folder, ["broker", "localhost", HOST])
    names = ["broker", ADMIN, *(principal(user) for user in users())]
    tls = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(authority.chain)}
    trust = {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(authority.ca_file)}
    login = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    properties = {
        **tls,
        **trust,
        "ssl.endpoint.identification.algorithm": "",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:SSL",
        "listener.name.controller.ssl.client.auth": "required",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f'{login} username="broker" password="{password_of("broker")}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:broker;User:{ADMIN};User:CN=broker",
        "allow.everyone.if.no.acl.found": "false",
    }
    return Secured(properties, {name: password_of(name) for name in names}, client_of(authority.ca_file, ADMIN))


def client_of(ca_file: Path, user: str) -> dict[str, str]:
    """The librdkafka properties of a user of a secured cluster."""
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "ssl.ca.location": str(ca_file),
        "sasl.username": user,
        "sasl.password": password_of(user),
    }


def password_of(user: str) -> str:
    return user[::-1]


def _listening(secured: Secured | None, port: int, node: int) -> Secured | None:
    if secured is None:
        return None
    listeners = f"SASL_SSL://{HOST}:{port + node},CONTROLLER://{HOST}:{port + NODES + node}"
    places = {"listeners": listeners, "advertised.listeners": listeners}
    return Secured({**secured.properties, **places}, secured.scram, secured.client)
