"""The schema of the log in the real engine: forward, back, and with another retention."""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.settings import Settings
from runtime.open_store import Store
from sinks.clickhouse.migrate_store import applied_versions, migrate_store, rollback_store


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate({"data_dir": str(tmp_path)})


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    opened = Store(settings)
    yield opened
    opened.client.close()
    opened.forget()
    gc.collect()


def tables(store: Store) -> set[str]:
    return {str(row[0]) for row in store.client.query("SHOW TABLES").result_rows}


def test_forward_twice_is_once_and_back_leaves_nothing(store: Store, settings: Settings) -> None:
    assert [line for line in migrate_store(store, settings) if "applied" in line] != []
    assert tables(store) >= {"mails", "recipients", "events", "raw", "dead_letters", "progress"}
    assert migrate_store(store, settings) == []
    versions = applied_versions(store)
    for version in sorted(versions, reverse=True):
        assert version in applied_versions(store)
        assert len(rollback_store(store, settings)) == 1
        assert version not in applied_versions(store)
    assert tables(store) == {"schema_migrations"} and rollback_store(store, settings) == []
    assert migrate_store(store, settings) and applied_versions(store) == versions


def test_another_retention_is_set_on_every_table_and_only_once(store: Store, settings: Settings) -> None:
    migrate_store(store, settings)
    longer = Settings.model_validate(
        {"data_dir": str(settings.data_dir), "store": {"retention": "30d", "raw_retention": "7d"}}
    )
    done = migrate_store(store, longer)
    assert "mails: keeps 30 days" in done and "events: keeps 30 days" in done and "raw: keeps 7 days" in done
    created = {name: str(store.client.command(f"SHOW CREATE TABLE {name}")) for name in tables(store)}
    kept = {name for name, text in created.items() if "TTL" in text}
    assert kept >= {"mails", "raw", "audit", "calls"}
    for name in kept:
        assert f"toIntervalSecond({604800 if name == 'raw' else 2592000})" in created[name], name
    assert migrate_store(store, longer) == []


def test_opening_the_store_removes_what_dead_processes_left_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "store.tmp"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for name in (str(dead.pid), str(os.getppid())):
        (folder / name).mkdir(parents=True)
    (folder / "left.native").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    Store(Settings.model_validate({"data_dir": str(tmp_path)}))
    assert {path.name for path in folder.iterdir()} == {str(os.getppid()), str(os.getpid())}


def test_a_second_process_is_told_in_one_sentence_that_the_store_is_taken(store: Store, tmp_path: Path) -> None:
    store.ping()
    environ = {**os.environ, "MAILSCOPE_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "mailscope", "schema", "apply"]
    told = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    said = told.stdout + told.stderr
    assert told.returncode == 78 and said.count("\n") == 1, said
    assert "another process has the embedded log store open" in said and "DB::Exception" not in said
    store.ping()
