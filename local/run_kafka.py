"""Apache Kafka on this machine: one node, durable, from the packages that `local.install_kafka` brought.

`LocalKafka` starts it as a child (tests, tools); `python -m local.run_kafka` becomes it (a supervised process).
"""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import click
from confluent_kafka import KafkaException

from local import die_with_parent, find_kafka
from local.configure_kafka import HOST, Broker, broker_command, format_command, properties
from local.process import Process
from runtime.connect_kafka import admin

STOP_GRACE = 10.0  # seconds between SIGTERM and SIGKILL


class KafkaFailed(Exception):
    """The broker could not be prepared, did not come up or went away; the message ends with its own words."""


class LocalKafka:
    """A broker as a child process: `with LocalKafka(folder, port) as kafka: … kafka.bootstrap`.

    Every acknowledged record survives `kill()` and a later `start()` on the same folder. The broker dies with the
    thread that started it, so that a killed test run leaves nothing behind (see `die_with_parent`).
    """

    def __init__(
        self, folder: Path, port: int, controller_port: int | None = None, sharing: Sequence[str] | None = None
    ) -> None:
        """`sharing` replaces the flags that name the broker's class archive."""
        self.broker = Broker(folder.resolve(), port, controller_port or port + 1)
        self.cluster_id = ""
        self._sharing = sharing
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """What clients are given as `bootstrap.servers`."""
        return self.broker.bootstrap

    @property
    def pid(self) -> int:
        """The broker's process. Raises KafkaFailed when it is not running."""
        if self._process is None:
            raise KafkaFailed("the broker is not running")
        return self._process.pid

    def start(self, timeout: float = 60.0) -> None:
        """Start the broker and wait until it answers, at most `timeout` seconds. Raises KafkaFailed."""
        command = die_with_parent.command(prepare(self.broker, self._sharing, self.cluster_id))
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + timeout
        while not answers(self.broker):
            if self._process.poll() is not None:
                code, self._process = self._process.returncode, None
                raise KafkaFailed(f"Kafka ended with code {code} at its start: {last_words(self.broker)}")
            if time.monotonic() > deadline:
                self.kill()
                raise KafkaFailed(f"Kafka did not answer within {timeout:g} s: {last_words(self.broker)}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop in order (SIGTERM); killed when that takes more than STOP_GRACE seconds."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def prepare(broker: Broker, sharing: Sequence[str] | None = None, cluster_id: str = "") -> list[str]:
    """Write the broker's properties, format its storage when that was never done, and return its command. The nodes of a cluster have
    one `cluster_id`; a broker that is alone makes its own.

    Raises KafkaNotInstalled, or KafkaFailed when the storage cannot be formatted.
    """
    java, classpath = find_kafka.java(), find_kafka.classpath()
    broker.folder.mkdir(parents=True, exist_ok=True)
    broker.properties_file.write_text(properties(broker))
    if not broker.formatted:
        command = format_command(broker, java, classpath, cluster_id or new_cluster_id())
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise KafkaFailed(f"Kafka's storage in {broker.data} could not be formatted: {done.stderr or done.stdout}")
    if broker.log_file.exists():  # the broker truncates it, and what it said before it died is wanted most
        broker.log_file.replace(broker.previous_log_file)
    if sharing is None:
        archive = find_kafka.archive_file()
        sharing = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []
    return broker_command(broker, java, classpath, sharing)


def process(broker: Broker, stop_order: int, name: str = "kafka") -> Process:
    """The broker as a supervised process; give it the highest `stop_order` of all."""
    ports = ["--port", str(broker.port), "--controller-port", str(broker.controller_port)]
    return Process(
        name=name,
        argv=[sys.executable, "-m", "local.run_kafka", "--dir", str(broker.folder.resolve()), *ports],
        ready=lambda: answers(broker),
        stop_order=stop_order,
        log_file=broker.previous_log_file,  # once it has been started again
    )


def new_cluster_id() -> str:
    """A random UUID as Kafka writes it. One that begins with a dash would be taken for an option."""
    while True:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):
            return cluster_id


def answers(broker: Broker) -> bool:
    """Whether the broker is up and takes records (listed in its own metadata). Blocks for two seconds at most."""
    client = dict(broker.secured.client) if broker.secured else {}
    try:
        socket.create_connection((HOST, broker.port), 0.5).close()
    except OSError:
        return False
    try:
        return bool(
            admin({"bootstrap.servers": broker.bootstrap, **client}, quiet=True).list_topics(timeout=1.5).brokers
        )
    except KafkaException:
        return False


def last_words(broker: Broker) -> str:
    """The last error line of the broker's log, or where to look."""
    try:
        lines = broker.log_file.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    errors = [line for line in lines if "ERROR" in line or "Exception" in line]
    return f"{errors[-1].strip()} ({broker.log_file})" if errors else f"see {broker.log_file}"


@click.command(help="Become the broker: prepare its folder, then run it in this process.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), required=True, help="Where it keeps its data.")
@click.option("--port", type=int, default=9092, show_default=True, help="For clients.")
@click.option("--controller-port", type=int, default=None, help="For itself; the next port when not given.")
def main(folder: Path, port: int, controller_port: int | None) -> None:
    """Replace this process by the broker, so that signals to its pid reach it. Never returns."""
    try:
        command = prepare(Broker(folder.resolve(), port, controller_port or port + 1))
    except (KafkaFailed, find_kafka.KafkaNotInstalled) as error:
        raise click.ClickException(str(error)) from None
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
