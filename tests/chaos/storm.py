"""A pipeline in a storm: further workers beside it, a broker that falls silent, processes that are killed, remote servers that are slow."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.pipeline import ROOT, Pipeline
from tests.fakes.counting_mta import CountingMta
from tests.wait_for import wait_for


class Storm(Pipeline):
    """The pipeline, with more that can be done to it. `seed` decides all that is left to chance, and is printed."""

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None, *, seed: int = 0) -> None:
        super().__init__(folder, settings)
        self.seed = seed or random.randrange(1, 10_000)
        self.random = random.Random(self.seed)
        print(f"seed {self.seed}")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}  # of `worker`, by name
        self._remotes: list[CountingMta] = []

    def remote(self, domain: str, number: int, delay: float = 0.0, *, greets: bool = True) -> CountingMta:
        """A domain with a server of its own, at 127.0.2.<number>."""
        self.outside.zones.add(domain, "MX", f"10 mx.{domain}")
        self.outside.zones.add(f"mx.{domain}", "A", f"127.0.2.{number}")
        self._remotes.append(CountingMta(f"127.0.2.{number}", self.base + 150, delay, greets=greets))
        return self._remotes[-1]

    def worker(self, *command: str, name: str, port: int, data: Path | None = None) -> "subprocess.Popen[bytes]":
        """One process more of a stage, with a name and a health port (from `metrics.port`) of its own; with `data`, as on another
        machine."""
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "mailscope", *command, "--health-port", str(port)],
                cwd=ROOT,
                env={
                    **self.environ,
                    "MAILSCOPE_INSTANCE": name,
                    "MAILSCOPE_DATA_DIR": str(data or self.data),
                    "MAILSCOPE_BLOBS__URL": f"file://{self.data}/blobs",
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes[name] = process
        return process

    def works(self, name: str) -> bool:
        """Whether a worker of `worker` has been given partitions."""
        return (
            re.search(r"works on [1-9]\d* partitions", (self.folder / f"{name}.log").read_text("utf-8", "replace"))
            is not None
        )

    @contextlib.contextmanager
    def silent_kafka(self, seconds: float) -> Iterator[None]:
        """Kafka does not answer for so long; the block runs meanwhile."""
        pid = self.stage_pid("kafka")
        began = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
            time.sleep(max(0.0, seconds - (time.monotonic() - began)))
        finally:
            os.kill(pid, signal.SIGCONT)

    def kill(self, stage: str) -> None:
        """End a process of the pipeline as the kernel would; returns when another one runs."""
        before = self.stage_pid(stage)
        os.kill(before, signal.SIGKILL)
        assert wait_for(lambda: self.pid_or_none(stage) not in (None, before), 30), f"{stage} did not come back"

    def restart(self, stage: str) -> None:
        """Ask a process of the pipeline to end; returns when another one runs."""
        before = self.stage_pid(stage)
        os.kill(before, signal.SIGTERM)
        assert wait_for(lambda: self.pid_or_none(stage) not in (None, before), 30), f"{stage} did not come back"

    def pid_or_none(self, stage: str) -> int | None:
        """The stage's process; None while none runs."""
        try:
            return self.stage_pid(stage)
        except (OSError, ValueError):
            return None

    def memory(self, stage: str) -> int:
        """Octets that the stage's process has resident."""
        return int(psutil.Process(self.stage_pid(stage)).memory_info().rss)

    def backlog(self, domain: str, count: int, mark: str) -> dict[str, str]:
        """Hand over so many mails for a domain; subject by mail_id."""
        return {self.submit(f"a{n}@{domain}", subject=f"{mark} {n}"): f"{mark} {n}" for n in range(count)}

    def close(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for remote in self._remotes:
            remote.greets = True
        try:
            super().close()
        finally:
            for remote in self._remotes:
                remote.stop()
