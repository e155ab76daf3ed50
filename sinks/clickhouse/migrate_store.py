"""Numbered migrations of the log store, forward and back (`mailscope schema apply`, `mailscope schema rollback`)."""

import contextlib
import re
from collections.abc import Iterator
from importlib import resources

from clickhouse_connect.driver.exceptions import ClickHouseError

from contracts.errors import Unavailable
from contracts.settings import Settings
from runtime.open_store import STORE, Store, not_allowed
from sinks.clickhouse.lock_schema import schema_lock

_FILE = re.compile(r"^(\d{4})_\w+\.(up|down)\.sql$")
_TTL_TABLES = {
    "mails": "received_at",
    "recipients": "received_at",
    "events": "received_at",
    "dead_letters": "put_aside_at",
    "connectivity": "occurred_at",
    "calls": "started_at",
    "audit": "at",
    "progress": "written_at",
    "hours": "hour",
    "hour_marks": "hour",
}


def prepare_store(store: Store, settings: Settings) -> list[str]:
    """What a sink does before it inserts: `migrate_store`, unless all is there. Unavailable when the store is away, or its user may not
    change the schema: then somebody else has to (`mailscope schema apply`)."""
    if store.embedded:
        return migrate_store(store, settings)
    with _told(store):
        try:
            store.create_database(_on_cluster(settings))
            if missing_migrations(store):
                return migrate_store(store, settings)
            return _set_retention(store, settings)
        except (ClickHouseError, Unavailable) as error:
            if not not_allowed(error.__cause__ or error):
                raise
        if missing := missing_migrations(store):
            raise Unavailable(STORE, f"it lacks {', '.join(missing)}: run `mailscope schema apply`")
        return ["the retention of the log is another one than the settings say: run `mailscope schema apply`"]


def migrate_store(store: Store, settings: Settings) -> list[str]:
    """Apply what is missing and set the retention of every table, one process at a time; one sentence for each thing done. Unavailable
    when the store is away, or another one is at it for too long."""
    with _told(store), _alone(store, settings):
        return _migrate(store, settings)


def missing_migrations(store: Store) -> list[str]:
    """The names of the migrations that the store lacks, oldest first."""
    applied = applied_versions(store)
    return [name for version, name in _migrations("up") if version not in applied]


def _migrate(store: Store, settings: Settings) -> list[str]:
    client = store.client
    client.command(
        f"CREATE TABLE IF NOT EXISTS schema_migrations {_on_cluster(settings)} (version UInt32, name String, applied_at DateTime "
        f"DEFAULT now()) ENGINE = {_engine(settings)} ORDER BY version"
    )
    done = []
    applied = applied_versions(store)
    for version, name in _migrations("up"):
        if version not in applied:
            _run(store, settings, name)
            client.insert("schema_migrations", [[version, name]], column_names=["version", "name"])
            done.append(f"{name}: applied")
    return done + _set_retention(store, settings)


def rollback_store(store: Store, settings: Settings) -> list[str]:
    """Take the newest migration back, with its data."""
    with _told(store), _alone(store, settings):
        return _roll_back(store, settings)


def _roll_back(store: Store, settings: Settings) -> list[str]:
    applied = applied_versions(store)
    for version, name in reversed(_migrations("down")):
        if version in applied:
            _run(store, settings, name)
            store.client.command(
                f"ALTER TABLE schema_migrations {_on_cluster(settings)} DELETE WHERE version = {version} SETTINGS mutations_sync = 2"
            )
            return [f"{name}: applied"]
    return []


def applied_versions(store: Store) -> set[int]:
    """The migrations that the store has."""
    if not store.client.query("EXISTS TABLE schema_migrations").result_rows[0][0]:
        return set()
    return {int(row[0]) for row in store.client.query("SELECT version FROM schema_migrations FINAL").result_rows}


@contextlib.contextmanager
def _alone(store: Store, settings: Settings) -> Iterator[None]:
    """No other process changes the schema for the block; the embedded store has one process anyway."""
    if store.embedded:
        yield
        return
    store.create_database(_on_cluster(settings))
    with schema_lock(store, _on_cluster(settings)):
        yield


@contextlib.contextmanager
def _told(store: Store) -> Iterator[None]:
    """What the store complains of is told as Unavailable, in its own words."""
    try:
        yield
    except (ClickHouseError, OSError) as error:
        raise Unavailable(STORE, str(error)[:500]) from error


def _migrations(direction: str) -> list[tuple[int, str]]:
    names = [entry.name for entry in (resources.files("sinks.clickhouse") / "migrations").iterdir()]
    found = [(int(match[1]), name) for name in names if (match := _FILE.match(name)) and match[2] == direction]
    return sorted(found)


def _run(store: Store, settings: Settings, name: str) -> None:
    text = (resources.files("sinks.clickhouse") / "migrations" / name).read_text("utf-8")
    filled = re.sub(r"--[^\n]*", "", text).format(
        engine=_engine(settings),
        on_cluster=_on_cluster(settings),
        retention_seconds=int(settings.store.retention.total_seconds()),
        raw_retention_seconds=int(settings.store.raw_retention.total_seconds()),
    )
    for statement in filled.split(";"):
        if statement.strip():
            store.client.command(statement)


def _set_retention(store: Store, settings: Settings) -> list[str]:
    wanted = {table: (column, settings.store.retention) for table, column in _TTL_TABLES.items()}
    wanted["raw"] = ("received_at", settings.store.raw_retention)
    done = []
    for table, (column, retention) in wanted.items():
        seconds = int(retention.total_seconds())
        create = str(store.client.command(f"SHOW CREATE TABLE {table}"))
        if f"toIntervalSecond({seconds})" not in create and f"INTERVAL {seconds} SECOND" not in create:
            store.client.command(
                f"ALTER TABLE {table} {_on_cluster(settings)} MODIFY TTL toDateTime({column}) + INTERVAL {seconds} SECOND"
            )
            done.append(f"{table}: keeps {seconds // 86400} days")
    return done


def _engine(settings: Settings) -> str:
    if not settings.store.cluster:
        return "ReplacingMergeTree"
    return "ReplicatedReplacingMergeTree"


def _on_cluster(settings: Settings) -> str:
    return f"ON CLUSTER '{settings.store.cluster}'" if settings.store.cluster else ""
