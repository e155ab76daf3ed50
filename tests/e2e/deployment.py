"""The pipeline as it stands where one machine is not enough: a process for each stage as its container has it, with a data folder, a
Kafka user and a ClickHouse user of its own; three brokers with TLS, SCRAM and ACLs; a ClickHouse server over HTTP; large messages on S3."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from contracts.acls import TOPICS_USER, principal
from contracts.stages import STAGES
from tests.e2e.pipeline import ROOT, Pipeline
from tests.fakes.clickhouse_server import ClickHouseServer
from tests.fakes.kafka_cluster import ADMIN, KafkaCluster, client_of, password_of, secure
from tests.fakes.s3_server import S3Server
from tests.wait_for import wait_for

KAFKA = 60  # of the port base; its brokers and controllers
ONE_SHOT = {"acls": ("topics", "acls", "--apply"), "topics": ("topics", "apply"), "schema": ("schema", "apply")}
STORE_USERS = {"clickhouse": "writer", "console": "reader", "schema": "owner"}


class Deployment(Pipeline):
    """Driven as `Pipeline` is. What a stage must not need, it does not get: no other's folder, user or password."""

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None) -> None:
        self.kafka_folder = folder / "kafka"
        self.kafka_folder.mkdir(parents=True)
        self.server = ClickHouseServer(folder / "clickhouse")
        self.s3 = S3Server(folder / "s3")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.code = ROOT  # of what is started from now on
        (folder / "secret").write_text("a secret that all stages have by reference\n")
        super().__init__(folder, settings)
        self.cluster = KafkaCluster(self.kafka_folder, self.base + KAFKA, secure(self.kafka_folder))
        self.bootstrap = self.cluster.bootstrap
        properties = client_of(self.kafka_folder / "ca.pem", "")
        del properties["sasl.username"], properties["sasl.password"]
        self.kafka = {"bootstrap": self.bootstrap, "replication": 3, "partitions": 2, "properties": properties}
        self.change(
            kafka=self.kafka,
            blobs={"url": self.s3.url},
            secret_file=str(folder / "secret"),
            console={"admin_token_file": str(folder / "first-token"), **self._settings.get("console", {})},
        )
        (folder / "first-token").write_text("ms_" + "deployment0123456789abcdefghijkl" + "\n")

    def start(self, timeout: float = 120.0) -> "Deployment":
        self.cluster.start()
        self.server.start()
        self.s3.start()
        for job in ONE_SHOT:
            self.do(job)
        for stage in STAGES:
            if not stage.only_with or stage.only_with in self._settings:
                self.launch(stage.name)
        assert wait_for(self.is_ready, timeout, 0.2), "\n".join(map(self._trouble, self.processes))
        self.token = (self.folder / "first-token").read_text().strip()
        self._client.headers["Authorization"] = f"Bearer {self.token}"
        return self

    def do(self, job: str) -> None:
        """Run one of the jobs."""
        done = subprocess.run(
            [sys.executable, "-m", "mailscope", *ONE_SHOT[job]],
            cwd=self.code, env=self.environ_of(job), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def launch(self, stage: str, instance: str = "", offset: int = 0) -> None:
        """Start a process of a stage: `instance` is its name among its like, `offset` moves its health."""
        name = instance or stage
        row = next(one for one in STAGES if one.name == stage)
        words = [sys.executable, "-m", "mailscope", *row.command]
        if row.health_offset is not None:
            words += ["--health-port", str(row.health_offset + offset)]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                words, cwd=self.code, env=self.environ_of(stage, name), stdout=log, stderr=log, start_new_session=True
            )

    def roll(self, stage: str) -> None:
        """As an orchestrator rolls a stage: end, start anew, wait until it is ready."""
        code = self.end(stage)
        assert code == 0, f"{stage} ended with {code}:\n{self._trouble(stage)}"
        self.launch(stage)
        assert wait_for(lambda: self._answers(stage), 60, 0.2), self._trouble(stage)

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> int:
        """End a process as its orchestrator does; its exit code."""
        process = self.processes.pop(name)
        process.send_signal(number)
        try:
            return process.wait(40)
        finally:
            process.kill()

    def is_ready(self) -> bool:
        for name, process in self.processes.items():
            assert process.poll() is None, self._trouble(name)
        return all(self._answers(name) for name in self.processes)

    def stop(self) -> None:
        for name in list(self.processes):
            self.end(name)

    def close(self) -> None:
        try:
            self.stop()
        finally:
            for process in self.processes.values():
                process.kill()
            super().close()
            self.server.kill()
            self.s3.stop()
            self.cluster.stop()

    def log(self) -> str:
        return "".join(file.read_text("utf-8", "replace") for file in sorted(self.folder.glob("*.log")))

    def data_of(self, name: str) -> Path:
        """The data folder of a process."""
        return self.folder / "data" / name

    @property
    def environ(self) -> dict[str, str]:
        """Of who administers it."""
        return self.environ_of("acls")

    def environ_of(self, stage: str, name: str = "") -> dict[str, str]:
        """Of a process of that stage, or of who has its user."""
        user = ADMIN if stage == "acls" else principal(TOPICS_USER if stage == "topics" else stage)
        data = self.data_of(name or stage)
        data.mkdir(parents=True, exist_ok=True)
        password = data / "kafka-password"
        password.write_text(password_of(user) + "\n")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("MAILSCOPE_")}
        own = {
            **kept,
            **self.s3.environ,
            "MAILSCOPE_CONFIG": str(self.config),
            "MAILSCOPE_DATA_DIR": str(data),
            "MAILSCOPE_INSTANCE": name or stage,
            "MAILSCOPE_PORT_BASE": str(self.base),
            "MAILSCOPE_KAFKA__USER": user,
            "MAILSCOPE_KAFKA__PASSWORD_FILE": str(password),
        }
        if stage in STORE_USERS:
            store = self.server.store(STORE_USERS[stage])
            own |= {"MAILSCOPE_STORE__DSN": store["dsn"], "MAILSCOPE_STORE__PASSWORD_FILE": store["password_file"]}
        return own

    def _answers(self, name: str) -> bool:
        try:
            return httpx.get(self._health(name), timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def _health(self, name: str) -> str:
        row = next(one for one in STAGES if name.split("-")[0] == one.name)
        port = self.base + (80 if row.health_offset is None else 101 + row.health_offset)
        return f"http://127.0.0.1:{port}/readyz"

    def _trouble(self, name: str) -> str:
        try:
            said = httpx.get(self._health(name), timeout=5, trust_env=False).text.strip()
        except httpx.HTTPError as error:
            said = str(error)
        return f"{name}: {said}\n" + (self.folder / f"{name}.log").read_text("utf-8", "replace")[-1500:]
