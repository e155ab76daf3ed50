"""The whole pipeline on one machine: the processes of `contracts/stages.py`, and the order in which they start and stop."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from contracts.settings import Settings
from contracts.stages import STAGES, Stage
from local import run_kafka
from local.check_ports import TCP, UDP, Listening
from local.configure_kafka import HOST, Broker
from local.demo.cast import DOMAINS
from local.demo.config import DemoPorts, prepare
from local.process import Process
from runtime.load_settings import load_settings, port_base

# Stopping: first nobody new is let in, then all that moves mail ends together, the log after it, Kafka last.
STOP_ORDER = {"ingest": 1, "processors": 2, "sinks": 2, "console": 3}
ONE_SHOT, BROKER = 8, 9
SHARED = {"clickhouse": "console"}  # the embedded store has one owner: these run inside another stage's process
START_LAST = "ingest"  # the receivers open their port when the others can work


def pipeline_processes(settings: Settings, environ: Mapping[str, str]) -> list[Process]:
    """Kafka (where it is ours to run), the topics, and the processes of every stage."""
    data = settings.data_dir.resolve()
    kafka = [run_kafka.process(_broker(settings), stop_order=BROKER)] if settings.embedded_kafka else []
    env = {"MAILSCOPE_DATA_DIR": str(data)}
    if environ.get("MAILSCOPE_CONFIG"):
        env["MAILSCOPE_CONFIG"] = str(Path(environ["MAILSCOPE_CONFIG"]).resolve())
    topics = Process(
        name="topics",
        argv=_command("topics", "apply"),
        env={**env, "MAILSCOPE_INSTANCE": "topics"},
        after=tuple(one.name for one in kafka),
        stop_order=ONE_SHOT,
        once=True,
    )
    processes = [*kafka, topics]
    for stage in sorted(_own_processes(settings), key=lambda stage: stage.command[0] == START_LAST):
        health = stage_health(settings)
        for number, name in enumerate(_instances(stage, settings)):
            processes.append(
                Process(
                    name=name,
                    argv=_command(*stage.command, *_options(stage, number)),
                    env={**env, "MAILSCOPE_INSTANCE": name},
                    ready=health.get(name, f"http://{settings.console.host}:{settings.console.port}/readyz"),
                    after=tuple(one.name for one in (*kafka, topics)),
                    stop_order=STOP_ORDER[stage.command[0]],
                )
            )
    return processes


def stage_health(settings: Settings) -> dict[str, str]:
    """The /readyz of every process that serves one of its own, by its name."""
    return {
        name: f"http://{settings.metrics.host}:{settings.metrics.port + stage.health_offset + number}/readyz"
        for stage in _own_processes(settings)
        if stage.health_offset is not None
        for number, name in enumerate(_instances(stage, settings))
    }


def pipeline_ports(settings: Settings) -> list[Listening]:
    """Where the pipeline will listen."""
    metrics = settings.metrics
    ports = [
        Listening("SMTP", settings.smtp.host, settings.smtp.port),
        Listening("submission", settings.submission.host, settings.submission.port),
        Listening("console and API", settings.console.host, settings.console.port),
    ]
    if settings.embedded_kafka:
        broker = _broker(settings)
        ports.append(Listening("Kafka", HOST, broker.port))
        ports.append(Listening("Kafka's controller", HOST, broker.controller_port))
    for name, url in stage_health(settings).items():
        ports.append(Listening(f"metrics of {name}", metrics.host, urlsplit(url).port or 0))
    return ports


def demo_ports(settings: Settings, ports: DemoPorts) -> list[Listening]:
    """The same, and where the demo's internet will listen."""
    names = [Listening("the demo's DNS", HOST, ports.dns, kind) for kind in (TCP, UDP)]
    servers = [Listening(f"the demo's mx.{one.name}", one.receives_at, ports.remote_smtp) for one in DOMAINS]
    others = [Listening("the demo's desk", HOST, ports.desk), Listening("the demo's mailbox", HOST, ports.mailbox)]
    return [*pipeline_ports(settings), *names, *servers, *others]


def _broker(settings: Settings) -> Broker:
    port = int(settings.kafka.bootstrap.rpartition(":")[2])
    return Broker(settings.data_dir.resolve() / "kafka", port, port + 1)


def _own_processes(settings: Settings) -> list[Stage]:
    wanted = [stage for stage in STAGES if not stage.only_with or getattr(settings, stage.only_with)]
    return [stage for stage in wanted if stage.name not in SHARED]


def _instances(stage: Stage, settings: Settings) -> list[str]:
    if not stage.instances_setting:
        return [stage.name]
    section, _, name = stage.instances_setting.partition(".")
    return [f"{stage.name}-{number + 1}" for number in range(getattr(getattr(settings, section), name))]


def _options(stage: Stage, number: int) -> list[str]:
    if stage.name in SHARED.values():
        return ["--with-sink"]
    return ["--health-port", str((stage.health_offset or 0) + number)]


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "mailscope", *words]


def demo_processes(environ: dict[str, str]) -> tuple[Settings, list[Process], list[Listening]]:
    """The pipeline with the demo's configuration, the demo's internet beside it, and where all of it will listen. Changes `environ`: the
    demo has a configuration and, unless one is named, a data folder of its own."""
    base = port_base(environ)
    environ.setdefault("MAILSCOPE_DATA_DIR", "data/demo")
    data = Path(environ["MAILSCOPE_DATA_DIR"]).resolve()
    ports = (
        DemoPorts() if base is None else DemoPorts(base + 25, base + 80, base + 153, base + 150, base + 190, base + 143)
    )
    environ["MAILSCOPE_CONFIG"] = str(prepare(data / "internet", ports))
    settings = load_settings(environ)
    options: dict[str, object] = {
        "--smtp-port": ports.smtp,
        "--api-url": settings.console.base_url,
        "--token-file": data / "admin-token",
        "--dns-port": ports.dns,
        "--remote-port": ports.remote_smtp,
        "--desk-port": ports.desk,
        "--mailbox-port": ports.mailbox,
        "--dir": data / "internet",
    }
    arguments = [str(word) for option in options.items() for word in option]
    world = Process(
        name="internet",
        argv=[sys.executable, "-m", "local.demo.run", *arguments],
        env={"MAILSCOPE_DATA_DIR": str(data)},
        stop_order=0,
    )
    return settings, [world, *pipeline_processes(settings, environ)], demo_ports(settings, ports)


def welcome(settings: Settings, seconds: float, *, demo: bool) -> str:
    """What is printed when everything is up: where things are, and three commands to try."""
    command = os.path.relpath(Path(sys.executable).parent / "mailscope")
    data = settings.data_dir
    names = {"MAILSCOPE_DATA_DIR": data if str(data) != "data" else ""}
    names |= {name: os.environ.get(name, "") for name in ("MAILSCOPE_PORT_BASE", "MAILSCOPE_CONFIG")}
    given = " ".join(f"{name}={shlex.quote(_short(value))}" for name, value in names.items() if value)
    export = f"    export {given}\n" if given else ""
    search = "status:delivery_failed,deferred" if demo else "since:1h"
    return f"""
  Mailscope is up ({seconds:.1f} s).

    Console   {settings.console.base_url}   log in with the token in {data / "admin-token"}
    SMTP      {settings.smtp.host}:{settings.smtp.port}
    Submission {settings.submission.host}:{settings.submission.port}   STARTTLS, and a user of outbound.credentials
    Kafka     {settings.kafka.bootstrap}

  Try, in another terminal:
{export}    {command} tail
    {command} search '{search}'
    {command} doctor

  Ctrl-C stops everything.
"""


def _short(path: object) -> str:
    """A path below this folder without the way to it; anything else as it is."""
    try:
        return str(Path(str(path)).resolve().relative_to(Path.cwd())) if Path(str(path)).is_absolute() else str(path)
    except ValueError:
        return str(path)
