"""`mailscope doctor`: look at everything that the pipeline needs, and say what to do about what is wrong."""

import asyncio
import json
import shutil
import socket
from collections.abc import Callable
from itertools import chain

import click
import httpx
from confluent_kafka import KafkaException

from commands.ask_api import api_client, settings_or_leave
from commands.check_config import look_through
from commands.look_at_subscribers import look_at_subscribers
from commands.try_mailboxes import try_mailboxes
from contracts import clock
from contracts.errors import ConfigurationError, Unavailable
from contracts.settings import Settings
from runtime.apply_topics import pipeline_topics
from runtime.connect_kafka import admin
from runtime.open_store import Store
from runtime.resolve_dns import DnsResolver

Finding = tuple[bool, str, str]  # good, what was seen, what to do


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, with what the console says of the whole pipeline.")
def doctor(as_json: bool) -> None:
    """Check configuration, DNS, broker, store, ports and disk, and log in to each mailbox; exit 1 when something is wrong."""
    settings = settings_or_leave()
    good = True
    checks: list[Callable[[Settings], Finding]] = [
        _configuration,
        _dns,
        _broker,
        _topics,
        _store,
        _console,
        _smtp,
        _stages,
        _disk,
    ]
    mailboxes = ((not advice, f"channel {name}: {seen}", advice) for name, seen, advice in try_mailboxes(settings))
    webhooks = ((not advice, f"webhook {name}: {seen}", advice) for name, seen, advice in look_at_subscribers(settings))
    findings: list[dict[str, str | bool]] = []
    for fine, seen, advice in chain((check(settings) for check in checks), mailboxes, webhooks):
        good &= fine
        findings.append({"fine": fine, "seen": seen, "advice": advice})
        if as_json:
            continue
        mark = click.style("ok  ", fg="green") if fine else click.style("FAIL", fg="red", bold=True)
        click.echo(f"{mark} {seen}" + (f"\n     {advice}" if advice else ""))
    if as_json:
        told = {
            "checked_at": clock.rfc3339(clock.now()),
            "fine": good,
            "findings": findings,
            "system": _system(settings),
        }
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
    raise SystemExit(0 if good else 1)


def _system(settings: Settings) -> object:
    """What the console says of the pipeline; null when it does not, or there is no token for it."""
    try:
        client, base = api_client(settings)
        with client:
            answer = client.get(f"{base}/api/v1/system")
        return answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError, SystemExit):
        return None


def _configuration(settings: Settings) -> Finding:
    problems, hints = look_through(settings)
    return not problems, "configuration", "\n     ".join([*problems, *(f"note: {hint}" for hint in hints)])


def _dns(settings: Settings) -> Finding:
    servers = ", ".join(settings.dns.nameservers) or "the system's name servers"
    domain = next(iter(settings.inbound.domains), "example.com")

    async def ask() -> str:
        resolver = DnsResolver(settings.dns.nameservers, timeout=settings.dns.timeout.total_seconds())
        return (await resolver.query(domain, "MX")).status.value

    try:
        status = asyncio.run(ask())
    except Exception as error:  # no resolver configured on this machine, for one
        return False, f"DNS: {type(error).__name__}: {error}", "set dns.nameservers in mailscope.yaml"
    if status in ("servfail", "timeout"):
        return (
            False,
            f"DNS: {servers}: {status} for {domain} MX",
            "check dns.nameservers, and that port 53 is reachable",
        )
    return True, f"DNS: {servers} answer ({domain} MX: {status})", ""


def _broker(settings: Settings) -> Finding:
    try:
        metadata = admin(settings.kafka_client, quiet=True).list_topics(timeout=5)
    except KafkaException as error:
        advice = "start the pipeline (`make up`), or set kafka.bootstrap to your brokers"
        return False, f"Kafka at {settings.kafka.bootstrap} does not answer: {error.args[0].str()}", advice
    return True, f"Kafka at {settings.kafka.bootstrap}: {len(metadata.brokers)} broker(s)", ""


def _topics(settings: Settings) -> Finding:
    try:
        present = admin(settings.kafka_client, quiet=True).list_topics(timeout=5).topics
    except KafkaException:
        return False, "topics: not known, since Kafka does not answer", ""
    missing = [topic.name for topic in pipeline_topics(settings) if topic.name not in present]
    if missing:
        return False, f"topics are missing: {', '.join(missing)}", "run `mailscope topics apply`"
    return True, f"topics: all {len(pipeline_topics(settings))} are there", ""


def _store(settings: Settings) -> Finding:
    if settings.embedded_store:
        ready, text = _readyz(settings)
        if ready:
            return True, f"log store: embedded in the console's process ({settings.store_dsn})", ""
        if text:
            return True, "log store: embedded; the console's process has it open", ""
    try:
        Store(settings).ping()
    except (Unavailable, ConfigurationError) as error:
        return False, f"log store: {error}", "check store.dsn, and that the server runs"
    return True, f"log store: {'embedded' if settings.embedded_store else 'ClickHouse'} answers", ""


def _readyz(settings: Settings) -> tuple[bool, str]:
    try:
        response = httpx.get(f"{settings.console.base_url}/readyz", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return False, ""
    return response.status_code == 200, response.text.strip()


def _console(settings: Settings) -> Finding:
    ready, text = _readyz(settings)
    base = settings.console.base_url
    if ready:
        return True, f"console: {base} is ready", ""
    if text:
        return False, f"console: {base} is not ready: {text}", "read the log of the stage that is named"
    return _port(settings.console.host, settings.console.port, "console")


def _smtp(settings: Settings) -> Finding:
    host, port = settings.smtp.host, settings.smtp.port
    try:
        with socket.create_connection((host, port), 3) as connection:
            greeting = connection.recv(200).decode("ascii", "replace").strip()
    except OSError:
        return _port(host, port, "SMTP")
    if "Mailscope" not in greeting:
        return False, f"SMTP: something else listens on {host}:{port}: {greeting[:80]}", "stop it, or set smtp.port"
    return True, f"SMTP: {host}:{port} greets", ""


def _port(host: str, port: int, name: str) -> Finding:
    """Nothing of ours listens: is the port free?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return (
                False,
                f"{name}: {host}:{port} is taken ({error.strerror})",
                "stop what uses it, or set MAILSCOPE_PORT_BASE",
            )
    return False, f"{name}: nothing listens on {host}:{port}", "start the pipeline (`make up`)"


def _stages(settings: Settings) -> Finding:
    """What the supervisor of this machine says: a stage that keeps ending may look well between two ends."""
    try:
        stages = json.loads((settings.data_dir / "run" / "stages.json").read_text())["stages"]
    except (OSError, ValueError, KeyError):
        return True, "stages: no supervisor runs here", ""
    away = [f"{name} is {stage['state']}" for name, stage in stages.items() if stage["state"] not in ("ready", "done")]
    again = [f"{name} {stage['restarts']} times" for name, stage in stages.items() if stage["restarts"]]
    advice = f"restarted: {', '.join(again)}; the log of `mailscope up` says why" if again else ""
    return not away, f"stages: {', '.join(away) or 'all run'}", advice


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir if settings.data_dir.exists() else settings.data_dir.absolute().parent
    free = shutil.disk_usage(folder).free
    seen = f"disk: {free >> 30} GiB free for {settings.data_dir}"
    return (True, seen, "") if free > 2 << 30 else (False, seen, "make room: Kafka and the store need at least 2 GiB")
