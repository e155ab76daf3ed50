"""The front door: the `mailscope` command. It only wires: the stages of `contracts/stages.py` to their code, and what people type."""

import asyncio
import importlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

import click

from commands.audit import audit
from commands.authenticate import authenticate_command, check_domain_command
from commands.check_config import check_config
from commands.classify import classify
from commands.dns import dns
from commands.doctor import doctor
from commands.erase import erase
from commands.explain import explain
from commands.postfix_log import postfix_log
from commands.ready import ready
from commands.reclassify import reclassify
from commands.reconcile import reconcile
from commands.redeliver import redeliver
from commands.replay import replay
from commands.search import search
from commands.send import send
from commands.show import show
from commands.suppressions import suppressions
from commands.tail import tail
from commands.token import token
from contracts import stages
from contracts.errors import ConfigurationError, Unavailable
from contracts.settings import Settings
from contracts.stages import Stage
from runtime.end_process import EX_CONFIG, EX_UNAVAILABLE
from runtime.health import Readiness
from runtime.load_settings import load_settings
from runtime.own_folder import UMASK
from runtime.run_stage import instance_name, run_process, run_stage, until_available

if TYPE_CHECKING:
    from local.check_ports import Listening
    from local.process import Process
    from runtime.open_store import Store

# Stage -> where its code is; loaded when it is run.
CODE = {
    "inbound": "processors.inbound:run_inbound",
    "outbound": "processors.outbound:run_outbound",
    "outcomes": "processors.outcomes:run_outcomes",
    "delivery": "sinks.delivery.run_delivery:run_delivery",
    "handlers": "sinks.handlers.run_handlers:run_handlers",
    "subscriptions": "sinks.subscriptions.run_subscriptions:run_subscriptions",
    "clickhouse": "sinks.clickhouse.run_clickhouse:run_clickhouse_alone",
    "smtp": "ingest.smtp.serve_smtp:serve_smtp",
    "submission": "ingest.smtp.serve_submission:serve_submission",
    "mailboxes": "ingest.mailboxes.poll_mailboxes:poll_mailboxes",
}
OWN_LOOP = "processors"  # Faust brings its event loop and its way to stop
ROOMS = {
    "ingest": "The ways in.",
    "processors": "The Faust apps that decide about mail.",
    "sinks": "The ways out.",
}

health_port = click.option(
    "--health-port", type=int, default=None, help="Offset of /metrics and /readyz from metrics.port."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mailscope")
def cli() -> None:
    """Mailscope: what happened to this mail, and why?"""
    os.umask(UMASK)


@cli.command()
def up() -> None:
    """Run everything on this machine."""
    from local.up import pipeline_ports, pipeline_processes

    settings = _settings()
    _supervise(settings, pipeline_processes(settings, os.environ), pipeline_ports(settings), demo=False)


@cli.command()
def demo() -> None:
    """Run everything, with a small internet of its own and live traffic."""
    from local.up import demo_processes

    environ = dict(os.environ)
    try:
        settings, processes, ports = demo_processes(environ)
    except ConfigurationError as error:
        _leave(error)
    os.environ.update(environ)
    _supervise(settings, processes, ports, demo=True)


def _stage_command(stage: Stage) -> click.Command:
    @click.command(stage.command[-1], help=stage.summary)
    @health_port
    def run(health_port: int | None) -> None:
        module, _, name = CODE[stage.name].partition(":")
        main = getattr(importlib.import_module(module), name)
        start = run_process if stage.command[0] == OWN_LOOP else run_stage
        sys.exit(start([stage], main, health_port))

    return run


for room, summary in ROOMS.items():
    commands: list[click.Command] = [_stage_command(stage) for stage in stages.STAGES if stage.command[0] == room]
    commands += [postfix_log] if room == "ingest" else []
    cli.add_command(click.Group(room, commands=commands, help=summary))


@cli.command()
@click.option(
    "--with-sink", is_flag=True, help="Run the ClickHouse sink in this process, as the embedded store demands."
)
def console(with_sink: bool) -> None:
    """Serve the console, the API and the send hook."""
    names = ["console", "clickhouse"] if with_sink else ["console"]
    run = _run_console_with_sink if with_sink else _run_console
    sys.exit(run_stage([stages.stage(name) for name in names], run, None))


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


@topics.command("acls")
@click.option("--apply", "now", is_flag=True, help="Give them at once, by the brokers of the configuration.")
@click.option(
    "--strimzi",
    metavar="CLUSTER",
    help="Print KafkaTopic and KafkaUser manifests for a cluster of the Strimzi operator.",
)
def topics_acls(now: bool, strimzi: str | None) -> None:
    """What each stage's user may do in Kafka: lines for kafka-acls.sh, manifests, or done at once."""
    import yaml

    from runtime.apply_acls import acl_commands, apply_acls, strimzi_manifests
    from runtime.apply_topics import pipeline_topics

    settings = _settings()
    if strimzi:
        click.echo(yaml.safe_dump_all(strimzi_manifests(settings, pipeline_topics(settings), strimzi), sort_keys=False))
        return
    try:
        click.echo("\n".join(apply_acls(settings) if now else acl_commands(settings.kafka.bootstrap)))
    except Unavailable as error:
        _leave(error)


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
def config() -> None:
    """The configuration."""


config.add_command(check_config)
for command in (
    doctor,
    ready,
    search,
    show,
    tail,
    send,
    replay,
    reconcile,
    redeliver,
    audit,
    erase,
    explain,
    classify,
    reclassify,
    authenticate_command,
    check_domain_command,
    dns,
    suppressions,
    token,
):
    cli.add_command(command)


async def _run_console(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    from runtime.open_store import Store

    readiness.set()
    await _serve(settings, Store(settings), stop, lambda: "")


async def _run_console_with_sink(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """One process for the embedded store's one owner: the sink, the console, and the send hook."""
    from local.ask_stages import StageHealth
    from runtime.open_store import Store
    from sinks.clickhouse.run_clickhouse import run_clickhouse

    store = Store(settings)
    others = StageHealth(settings)
    sink = asyncio.create_task(run_clickhouse(settings, store, stop, readiness))
    watch = asyncio.create_task(others.watch(stop))
    serve = asyncio.create_task(_serve(settings, store, stop, lambda: readiness() or others.why_not_ready))
    await asyncio.wait({sink, serve}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    for ended in await asyncio.gather(sink, serve, watch, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended


async def _serve(settings: Settings, store: "Store", stop: asyncio.Event, why_not_ready: Callable[[], str]) -> None:
    """The console and the send hook, on the state that all replicas share."""
    from starlette.middleware import Middleware

    from console.admit_requests import LargeBody
    from console.audit import Audit, read_last_uses
    from console.authorise import authorised
    from console.change_suppressions import SuppressionDesk
    from console.ensure_admin_token import ensure_admin_token
    from console.erase import ErasureDesk
    from console.find_sources import SourceMails
    from console.note_configuration import note_configuration
    from console.query_store import StoreQueries
    from console.serve_console import create_app
    from console.serve_erasures import erasures_router
    from console.serve_http import serve_console
    from console.serve_lists import LARGE_BODIES, list_routers
    from console.serve_tokens import tokens_router
    from console.serve_unsubscribe import unsubscribe_router
    from console.sessions import Sessions
    from console.tokens import Tokens, open_tokens
    from ingest.attempts.attempts_http import ATTEMPTS, LARGEST_REPORT, attempts_router
    from ingest.attempts.record_attempts import AttemptRecorder
    from ingest.await_verdict import VerdictReader, VerdictWaiter
    from ingest.send.claim_keys import IdempotencyKeys
    from ingest.send.limit_requests import PATH, LimitRequests
    from ingest.send.limit_tokens import TokenRates
    from ingest.send.send import Sender
    from ingest.send.send_http import send_router
    from mail.unsubscribe_link import UnsubscribeLinks
    from runtime.claim import Claims
    from runtime.follow_erasures import follow_erasures
    from runtime.load_secret import load_secret
    from runtime.publish import Publisher
    from runtime.shared_list import follow_preferences, follow_suppressions
    from runtime.watch_disk import DiskRoom

    publisher = Publisher(settings.kafka_client, timeout=20.0)
    verdicts = VerdictWaiter(None, settings.outbound.verdict_timeout.total_seconds(), settings.smtp.verdict_misses)
    verdict_reader = VerdictReader(settings.kafka_client, verdicts, os.environ.get("MAILSCOPE_INSTANCE"))
    suppressions, preferences = follow_suppressions(settings.kafka_client), follow_preferences(settings.kafka_client)
    table = open_tokens(settings.kafka_client)
    claims = Claims(settings.kafka_client, publisher, instance_name("console"))
    provider = settings.console.oidc
    tokens = Tokens(table, provider.issuer if provider else "")
    admin = Readiness("the admin token has not been looked for yet")
    hears = Readiness("verdicts are not read yet")
    has_room = DiskRoom(settings.data_dir, settings.min_free_disk)
    rates = TokenRates(settings.outbound.token_requests, settings.outbound.token_recipients)
    sender = Sender(settings, publisher, verdicts)
    queries = StoreQueries(store, settings.store.query_memory)
    recorder = AttemptRecorder(claims, publisher, SourceMails(queries).find)
    audit, secret, erasures = Audit(publisher), load_secret(settings), follow_erasures(settings.kafka_client)
    routers = [
        send_router(sender, IdempotencyKeys(claims), authorised("send"), has_room, rates),
        attempts_router(recorder, authorised("send"), settings.store.retention, rates),
        *list_routers(settings, queries, suppressions, preferences, publisher, audit),
        tokens_router(table, publisher, audit, lambda: read_last_uses(queries)),
        unsubscribe_router(UnsubscribeLinks(secret), preferences, publisher),
        erasures_router(ErasureDesk(settings, queries, suppressions, preferences, erasures, publisher, audit, secret)),
    ]

    # Base64 and JSON make a third more of a message.
    largest = settings.smtp.max_size * 3 // 2
    app = create_app(
        settings,
        store,
        tokens,
        Sessions(table, publisher),
        publisher,
        SuppressionDesk(suppressions, publisher),
        large_bodies={
            PATH: LargeBody(largest, "send"),
            ATTEMPTS: LargeBody(LARGEST_REPORT, "send"),
            **LARGE_BODIES,
        },
        middleware=[Middleware(LimitRequests, largest=largest, memory=settings.smtp.memory)],
        why_not_ready=lambda: (
            tokens.why_not_ready
            or claims.why_not_ready
            or suppressions.why_not_ready
            or preferences.why_not_ready
            or erasures.why_not_ready
            or admin()
            or hears()
            or why_not_ready()
        ),
        routers=routers,
    )
    ensure = asyncio.create_task(until_available(lambda: ensure_admin_token(settings, table, claims, publisher), admin))
    note = asyncio.create_task(note_configuration(settings, secret, queries, publisher))
    hear = asyncio.create_task(until_available(verdict_reader.start, hears))
    try:
        await serve_console(app, settings, stop, app.state.why_not_ready)
    finally:
        ensure.cancel()
        hear.cancel()
        note.cancel()
        verdict_reader.close()
        queries.close()
        followed = (table, claims, suppressions, preferences, erasures)
        closing = [*(one.close() for one in followed), publisher.close(2)]
        await asyncio.gather(ensure, hear, note, *closing, return_exceptions=True)


def _supervise(settings: Settings, processes: "list[Process]", ports: "list[Listening]", *, demo: bool) -> None:
    from local.check_ports import PortsTaken, check_ports
    from local.lock_data import DataInUse
    from local.point_here import point_here
    from local.supervise import Supervisor
    from local.up import welcome

    point_here(settings.data_dir, os.environ)
    supervisor = Supervisor(
        processes,
        settings.data_dir.resolve(),
        on_ready=lambda seconds: welcome(settings, seconds, demo=demo),
        before_start=lambda: check_ports(ports),
    )
    try:
        sys.exit(asyncio.run(supervisor.run()))
    except (DataInUse, PortsTaken, OSError) as error:
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
