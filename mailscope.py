"""The front door: the `mailscope` command. It only wires stages together; each command's work is done where it belongs."""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import click

from commands.authenticate import authenticate_command, check_domain_command
from commands.check_config import check_config
from commands.doctor import doctor
from commands.explain import explain
from commands.replay import replay
from commands.search import search
from commands.send import send
from commands.show import show
from commands.tail import tail
from contracts.errors import ConfigurationError, Unavailable
from contracts.settings import Settings
from runtime.health import Readiness
from runtime.load_settings import load_settings
from runtime.run_stage import EX_CONFIG, EX_UNAVAILABLE, run_stage

if TYPE_CHECKING:
    from local.stage import Stage
    from runtime.open_store import Store

health_port = click.option(
    "--health-port", type=int, default=0, show_default=True, help="Offset of /metrics and /readyz from metrics.port."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mailscope")
def cli() -> None:
    """Mailscope: what happened to this mail, and why?"""


@cli.command()
def up() -> None:
    """Run everything on this machine."""
    from local.up import pipeline_stages

    environ = dict(os.environ)
    settings = _settings()
    _supervise(settings, pipeline_stages(settings, environ), demo=False)


@cli.command()
def demo() -> None:
    """Run everything, with a small internet of its own and live traffic."""
    from local.up import demo_stages

    environ = dict(os.environ)
    try:
        settings, stages = demo_stages(environ)
    except ConfigurationError as error:
        _leave(error)
    os.environ.update(environ)
    _supervise(settings, stages, demo=True)


@cli.group()
def ingest() -> None:
    """The ways in."""


@ingest.command("smtp")
@health_port
def ingest_smtp(health_port: int) -> None:
    """Receive mail over SMTP."""
    from ingest.smtp.serve_smtp import serve_smtp

    sys.exit(run_stage("smtp", serve_smtp, health_port))


@cli.command()
@click.argument("app", type=click.Choice(["inbound", "outcomes"]))
@health_port
def processors(app: str, health_port: int) -> None:
    """Run a Faust app: `inbound` authenticates and routes, `outcomes` classifies what became of it."""
    from processors.inbound import run_inbound
    from processors.outcomes import run_outcomes
    from runtime.log import set_up_logging

    settings = _settings()
    set_up_logging()
    {"inbound": run_inbound, "outcomes": run_outcomes}[app](settings, health_port)


@cli.group()
def sinks() -> None:
    """The ways out."""


@sinks.command("delivery")
@health_port
def sinks_delivery(health_port: int) -> None:
    """Deliver forwards and outbound mail over SMTP."""
    from sinks.delivery.run_delivery import run_delivery

    sys.exit(run_stage("delivery", run_delivery, health_port))


@sinks.command("handlers")
@health_port
def sinks_handlers(health_port: int) -> None:
    """Give mail to webhooks and Python functions."""
    from sinks.handlers.run_handlers import run_handlers

    sys.exit(run_stage("handlers", run_handlers, health_port))


@sinks.command("clickhouse")
@health_port
def sinks_clickhouse(health_port: int) -> None:
    """Insert the log into ClickHouse."""
    sys.exit(run_stage("clickhouse", _run_clickhouse, health_port))


@cli.command()
@click.option(
    "--with-sink", is_flag=True, help="Run the ClickHouse sink in this process, as the embedded store demands."
)
def console(with_sink: bool) -> None:
    """Serve the console, the API and the send hook."""
    sys.exit(run_stage("console", _run_console_with_sink if with_sink else _run_console, None))


@cli.group()
def topics() -> None:
    """Kafka's topics."""


@topics.command("apply")
def topics_apply() -> None:
    """Create the topics that are missing and set the retention of all."""
    from runtime.apply_topics import apply_topics

    settings = _settings()
    try:
        done = apply_topics(settings)
    except Unavailable as error:
        _leave(error)
    click.echo("\n".join(done) or "all topics are there")


@cli.group()
def schema() -> None:
    """The log store's tables."""


@schema.command("apply")
def schema_apply() -> None:
    """Apply the migrations that are missing."""
    from runtime.open_store import Store
    from sinks.clickhouse.migrate_store import migrate_store

    _schema(lambda settings: migrate_store(Store(settings), settings))


@schema.command("rollback")
@click.confirmation_option(prompt="This drops what the newest migration made, with its data. Go on?")
def schema_rollback() -> None:
    """Take the newest migration back."""
    from runtime.open_store import Store
    from sinks.clickhouse.migrate_store import rollback_store

    _schema(lambda settings: rollback_store(Store(settings), settings))


@cli.group()
def token() -> None:
    """API tokens."""


@token.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(["read", "raw", "send", "manage"]))
@click.option("--domain", "domains", multiple=True, help="Limit it to mail of this domain; may be repeated.")
def token_create(name: str, scopes: tuple[str, ...], domains: tuple[str, ...]) -> None:
    """Create a token and print it. It is shown once: only its hash is kept."""
    from console.tokens import create_token

    settings = _settings()
    click.echo(create_token(settings.tokens_path, name, list(scopes), list(domains)))


@cli.group()
def config() -> None:
    """The configuration."""


config.add_command(check_config)
for command in (doctor, search, show, tail, send, replay, explain, authenticate_command, check_domain_command):
    cli.add_command(command)


async def _run_clickhouse(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    from runtime.open_store import Store
    from sinks.clickhouse.run_clickhouse import run_clickhouse

    await run_clickhouse(settings, Store(settings), stop, readiness)


async def _run_console(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    from runtime.open_store import Store

    await _serve(settings, Store(settings), stop, lambda: "")


async def _run_console_with_sink(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """One process for the embedded store's one owner: the sink, the console, and the send hook."""
    from local.ask_stages import StageHealth
    from runtime.open_store import Store
    from sinks.clickhouse.run_clickhouse import run_clickhouse

    store = Store(settings)
    stages = StageHealth(settings)
    sink = asyncio.create_task(run_clickhouse(settings, store, stop, readiness))
    watch = asyncio.create_task(stages.watch(stop))
    serve = asyncio.create_task(_serve(settings, store, stop, lambda: readiness() or stages.why_not_ready))
    await asyncio.wait({sink, serve}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    for ended in await asyncio.gather(sink, serve, watch, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended


async def _serve(settings: Settings, store: "Store", stop: asyncio.Event, why_not_ready: Callable[[], str]) -> None:
    from console.authorise import authorised
    from console.serve_console import create_app, serve_console
    from console.tokens import ensure_admin_token
    from ingest.send.remember_keys import KeyStore
    from ingest.send.send import Sender
    from ingest.send.send_http import send_router
    from runtime.publish import Publisher

    ensure_admin_token(settings)
    publisher = Publisher(settings.kafka_client, timeout=20.0)
    sender = Sender(settings, publisher)
    keys = KeyStore(settings.data_dir / "idempotency.db")
    routers = [send_router(sender, keys, authorised("send"))]
    app = create_app(settings, store, why_not_ready=why_not_ready, routers=routers)
    try:
        await serve_console(app, settings, stop)
    finally:
        keys.close()
        await publisher.close(2)


def _supervise(settings: Settings, stages: "list[Stage]", *, demo: bool) -> None:
    from local.lock_data import DataInUse
    from local.supervise import Supervisor
    from local.up import welcome

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(
        stages,
        settings.data_dir.resolve(),
        on_ready=lambda seconds: welcome(settings, seconds, demo=demo),
    )
    try:
        sys.exit(asyncio.run(supervisor.run()))
    except DataInUse as error:
        _leave(error)


def _schema(change: Callable[[Settings], list[str]]) -> None:
    settings = _settings()
    try:
        done = change(settings)
    except (Unavailable, ConfigurationError) as error:
        _leave(error)
    click.echo("\n".join(done) or "nothing to do")


def _settings() -> Settings:
    try:
        return load_settings()
    except ConfigurationError as error:
        _leave(error)


def _leave(error: Exception) -> NoReturn:
    click.echo(f"mailscope: {error}", err=True)
    sys.exit(EX_CONFIG if isinstance(error, ConfigurationError) else EX_UNAVAILABLE)


def main() -> None:
    """Console script."""
    cli(prog_name="mailscope")


if __name__ == "__main__":
    main()
