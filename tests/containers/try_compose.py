"""`make test-containers`: the real Dockerfile and the real docker-compose.yml, started, used, killed and removed. Needs a running dockerd,
docker-compose and, where images cannot be pulled, debootstrap (stand_ins.py); prints what it found and how long it took."""

import os
import signal
import smtplib
import subprocess
import time
from collections.abc import Callable

import httpx

from tests.conftest import find_free_port
from tests.containers.stand_ins import build, docker, is_there
from tests.fakes.clickhouse_server import ROOT

PROJECT = "mailscope-try"
VERSION = "try"
NOT_KILLED = {"topics", "schema", "secrets"}


class Compose:
    """The compose file as a project of its own, on ports of its own."""

    def __init__(self) -> None:
        self.ports = {name: find_free_port() for name in ("SMTP", "SUBMISSION", "CONSOLE", "PROMETHEUS", "GRAFANA")}
        self.environ = {**os.environ, "MAILSCOPE_VERSION": VERSION}
        self.environ |= {f"MAILSCOPE_{name}_PORT": str(port) for name, port in self.ports.items()}
        self.api = f"http://127.0.0.1:{self.ports['CONSOLE']}"

    def __call__(self, *words: str) -> str:
        command = ["docker-compose", "--project-name", PROJECT, *words]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environ,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode != 0:
            raise SystemExit(f"docker-compose {words[0]}: {done.stdout[-3000:]}")
        return done.stdout

    def container(self, service: str) -> str:
        return f"{PROJECT}_{service}_1"

    def state(self, service: str, what: str) -> str:
        return docker("inspect", "--format", "{{.State." + what + "}}", self.container(service)).strip()

    def token(self) -> str:
        return docker("exec", self.container("console"), "cat", "/run/mailscope/admin-token").strip()

    def send(self, subject: str) -> None:
        with smtplib.SMTP("127.0.0.1", self.ports["SMTP"], timeout=60) as smtp:
            text = f"From: anna@acme.test\r\nTo: desk@example.com\r\nSubject: {subject}\r\n\r\nhi\r\n"
            smtp.sendmail("anna@acme.test", ["desk@example.com"], text)

    def found(self, subject: str) -> list[dict[str, object]]:
        headers = {"Authorization": f"Bearer {self.token()}"}
        try:
            answer = httpx.get(
                f"{self.api}/api/v1/mails",
                params={"subject": subject, "limit": 500},
                headers=headers,
                timeout=20,
                trust_env=False,
            )
        except httpx.HTTPError:
            return []
        return answer.json()["items"] if answer.status_code == 200 else []

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.api}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


def until(what: Callable[[], bool], seconds: float, why: str) -> float:
    """How long it took. SystemExit when it did not come true."""
    began = time.monotonic()
    while not what():
        if time.monotonic() - began > seconds:
            raise SystemExit(f"not within {seconds:.0f} s: {why}")
        time.sleep(0.5)
    return time.monotonic() - began


def main() -> None:
    began = time.monotonic()
    there = build()
    docker(
        "build",
        "--quiet",
        "--network=host",
        "--file",
        "deploy/Dockerfile",
        "--tag",
        f"mailscope:{VERSION}",
        str(ROOT),
        cwd=ROOT,
    )
    size = int(docker("image", "inspect", "--format", "{{.Size}}", f"mailscope:{VERSION}")) >> 20
    print(f"built in {time.monotonic() - began:.0f} s, {size} MiB with its base")
    compose = Compose()
    services = [
        one for one in compose("config", "--services").split() if one not in ("grafana", "mailboxes", "subscriptions")
    ]
    assert all(is_there(image) for image in there)
    try:
        began = time.monotonic()
        compose("up", "--detach", "--no-build", *services)
        until(compose.is_ready, 180, "the console is not ready")
        print(f"up and ready in {time.monotonic() - began:.0f} s: {', '.join(services)}")
        stages = [one for one in services if one not in NOT_KILLED]
        until(lambda: all(_is_well(compose, one) for one in stages), 90, "a container is not healthy")
        print("every health check says healthy")
        compose.send("first")
        took = until(lambda: bool(compose.found("first")), 30, "the mail is not in the log")
        (row,) = compose.found("first")
        assert row["status"] == "dropped" and row["detail"], row
        print(f"sent by SMTP, found by the API within {took + 0.5:.1f} s: {row['status']}, {row['detail']}")
        _kill_each(compose, stages)
        _look_inside(compose)
    except BaseException:
        for service in services:
            print(f"== {service}", flush=True)
            command = ["docker", "logs", "--tail", "12", compose.container(service)]
            subprocess.run(command, check=False, stderr=subprocess.STDOUT)
        raise
    finally:
        compose("down", "--volumes", "--timeout", "20")
    left = docker("ps", "--all", "--quiet", "--filter", f"name={PROJECT}") + docker(
        "volume", "ls", "--quiet", "--filter", f"name={PROJECT}"
    )
    assert not left.strip(), left
    print("down --volumes left nothing")


def _is_well(compose: Compose, service: str) -> bool:
    return compose.state(service, "Status") == "running" and (
        service == "prometheus" or compose.state(service, "Health.Status") == "healthy"
    )


def _kill_each(compose: Compose, stages: list[str]) -> None:
    """kill -9 of every process in turn, while mail goes on: what got a 250 is in the log once."""
    sent = []
    for number, service in enumerate(stages):
        os.kill(int(compose.state(service, "Pid")), signal.SIGKILL)
        for part in range(3):
            subject = f"killed {number} {part}"
            try:
                compose.send(subject)
                sent.append(subject)
            except (smtplib.SMTPException, OSError):
                time.sleep(1)
        until(lambda one=service: _is_well(compose, one), 120, f"{service} is not well again")  # type: ignore[misc]
    until(
        lambda: len(compose.found("killed *")) >= len(sent),
        90,
        f"of {len(sent)} mails {len(compose.found('killed *'))} are in the log",
    )
    found = sorted(str(row["subject"]) for row in compose.found("killed *"))
    assert set(sent) <= set(found) and len(found) == len(set(found)), (sent, found)
    print(f"killed -9 in turn: {', '.join(stages)}; {len(sent)} mails got a 250 meanwhile, each is in the log once")


def _look_inside(compose: Compose) -> None:
    """Who a stage is, and what it may write."""
    inside = (
        "id -u; touch /opt/x 2>/dev/null || echo read-only; grep -E '^(CapEff|NoNewPrivs)' /proc/1/status | cut -f2"
    )
    told = docker("exec", compose.container("inbound"), "sh", "-c", inside).split()
    assert told == ["10001", "read-only", "0000000000000000", "1"], told
    print("a stage is user 10001 on a read-only root, without capabilities")


if __name__ == "__main__":
    main()
