"""The whole pipeline on one machine: its stages, their ports, and the order in which they start and stop."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from contracts.settings import Settings
from local import run_kafka
from local.configure_kafka import Broker
from local.demo.config import DemoPorts, prepare
from local.stage import Stage
from runtime.load_settings import load_settings, port_base

# Offsets of the health ports from `metrics.port`; the console serves its own.
INBOUND, OUTCOMES, DELIVERY, HANDLERS, SMTP = 0, 1, 2, 3, 4


def pipeline_stages(settings: Settings, environ: Mapping[str, str]) -> list[Stage]:
    """Kafka, the topics, the processors, the sinks, the console and the receivers, which open their port last."""
    data = settings.data_dir.resolve()
    kafka_port = int(settings.kafka.bootstrap.rpartition(":")[2])
    broker = Broker(data / "kafka", kafka_port, kafka_port + 1)
    env = {"MAILSCOPE_DATA_DIR": str(data)}
    if environ.get("MAILSCOPE_CONFIG"):
        env["MAILSCOPE_CONFIG"] = str(Path(environ["MAILSCOPE_CONFIG"]).resolve())

    def ours(
        name: str, arguments: list[str], ready: str | None, order: int, *, once: bool = False, port: int = -1
    ) -> Stage:
        return Stage(
            name=name,
            argv=[sys.executable, "-m", "mailscope", *arguments, *(["--health-port", str(port)] if port >= 0 else [])],
            env={**env, "MAILSCOPE_INSTANCE": name},
            ready=ready,
            after=("kafka",) if once else ("kafka", "topics"),
            stop_order=order,
            once=once,
        )

    def health(offset: int) -> str:
        return f"http://{settings.metrics.host}:{settings.metrics.port + offset}/readyz"

    # Stopping: first nobody new is let in (1), then all that moves mail ends together (2), the log after it (3), Kafka last.
    console = f"http://{settings.console.host}:{settings.console.port}/readyz"
    stages = [
        run_kafka.stage(broker, stop_order=9),
        ours("topics", ["topics", "apply"], None, 8, once=True),
        ours("inbound", ["processors", "inbound"], health(INBOUND), 2, port=INBOUND),
        ours("outcomes", ["processors", "outcomes"], health(OUTCOMES), 2, port=OUTCOMES),
        ours("delivery", ["sinks", "delivery"], health(DELIVERY), 2, port=DELIVERY),
        ours("handlers", ["sinks", "handlers"], health(HANDLERS), 2, port=HANDLERS),
        ours("console", ["console", "--with-sink"], console, 3),
    ]
    for number in range(settings.smtp.processes):
        offset = SMTP + number
        stages.append(ours(f"smtp-{number + 1}", ["ingest", "smtp"], health(offset), 1, port=offset))
    return stages


def stage_health(settings: Settings) -> dict[str, str]:
    """The /readyz of every stage but the console, by name."""
    offsets = {"inbound": INBOUND, "outcomes": OUTCOMES, "delivery": DELIVERY, "handlers": HANDLERS}
    offsets |= {f"smtp-{number + 1}": SMTP + number for number in range(settings.smtp.processes)}
    return {
        name: f"http://{settings.metrics.host}:{settings.metrics.port + offset}/readyz"
        for name, offset in offsets.items()
    }


def demo_stages(environ: dict[str, str]) -> tuple[Settings, list[Stage]]:
    """The pipeline with the demo's configuration, and the demo's internet beside it. Changes `environ`: the demo has a
    configuration and, unless one is named, a data folder of its own."""
    base = port_base(environ)
    environ.setdefault("MAILSCOPE_DATA_DIR", "data/demo")
    data = Path(environ["MAILSCOPE_DATA_DIR"]).resolve()
    ports = DemoPorts() if base is None else DemoPorts(base + 25, base + 80, base + 153, base + 150, base + 190)
    environ["MAILSCOPE_CONFIG"] = str(prepare(data / "internet", ports))
    settings = load_settings(environ)
    options: dict[str, object] = {
        "--smtp-port": ports.smtp,
        "--api-url": settings.console.base_url,
        "--token-file": data / "admin-token",
        "--dns-port": ports.dns,
        "--remote-port": ports.remote_smtp,
        "--desk-port": ports.desk,
        "--dir": data / "internet",
    }
    arguments = [str(word) for option in options.items() for word in option]
    world = Stage(
        name="internet",
        argv=[sys.executable, "-m", "local.demo.run", *arguments],
        env={"MAILSCOPE_DATA_DIR": str(data)},
        stop_order=0,
    )
    return settings, [world, *pipeline_stages(settings, environ)]


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
