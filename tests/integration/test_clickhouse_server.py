"""The log on a ClickHouse server over HTTP: its schema, its users, and the server killed."""

import asyncio
import contextlib
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from console.query_store import StoreQueries
from contracts import clock
from contracts.errors import ConfigurationError, Unavailable
from contracts.settings import Settings
from runtime.expose_metrics import expose
from runtime.open_store import Store, not_allowed, worth_a_retry
from sinks.clickhouse import lock_schema
from sinks.clickhouse.migrate_store import applied_versions, missing_migrations, prepare_store, rollback_store
from tests.conftest import find_free_port
from tests.fakes.authority import Authority
from tests.fakes.clickhouse_server import ROOT, ClickHouseServer
from tests.fakes.loop_thread import LoopThread

ROW = "INSERT INTO progress (name, complete_until, written_at) VALUES ('log', now64(3), now64(3))"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    running = ClickHouseServer(tmp_path_factory.mktemp("clickhouse"))
    yield running.start()
    running.stop()


def settings_of(server: ClickHouseServer, role: str, **store: str) -> Settings:
    folder = str(server.folder / "mailscope")
    return Settings.model_validate({"data_dir": folder, "store": {**server.store(role), **store}})


def store_of(server: ClickHouseServer, role: str) -> Store:
    return Store(settings_of(server, role))


def refused(store: Store, statement: str) -> bool:
    """Whether the server says that its user may not."""
    try:
        store.client.command(statement)
    except ClickHouseError as error:
        assert not_allowed(error) or "readonly" in str(error).lower(), error
        return True
    return False


def apply(server: ClickHouseServer) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "mailscope", "schema", "apply"]
    own = server.store("owner")
    environ = {
        "MAILSCOPE_DATA_DIR": str(server.folder / "mailscope"),
        "MAILSCOPE_STORE__DSN": own["dsn"],
        "MAILSCOPE_STORE__PASSWORD_FILE": own["password_file"],
        "PATH": "/usr/bin:/bin",
    }
    return subprocess.Popen(words, cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_a_writer_waits_for_the_schema_that_jobs_which_run_at_a_time_apply_once(server: ClickHouseServer) -> None:
    writer = settings_of(server, "writer")
    with pytest.raises(Unavailable, match="mailscope"):
        prepare_store(Store(writer), writer)
    jobs = [apply(server) for _ in range(3)]
    said = [job.communicate(timeout=120)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], said
    assert sum(text.count("0001_log.up.sql: applied") for text in said) == 1
    assert sorted(text.strip() for text in said)[1:] != [] and sum("nothing to do" in text for text in said) == 2, said
    assert prepare_store(Store(writer), writer) == []
    assert not missing_migrations(Store(writer))


def test_each_user_may_what_it_needs_and_no_more(server: ClickHouseServer) -> None:
    owner, writer, reader = (store_of(server, role) for role in ("owner", "writer", "reader"))
    writer.client.command(ROW)
    assert reader.client.query("SELECT count() > 0 FROM progress").result_rows == [(True,)]
    for store in (writer, reader):
        assert refused(store, "CREATE TABLE other (x UInt8) ENGINE = Memory")
        assert refused(store, "DROP TABLE progress") and refused(store, "TRUNCATE TABLE progress")
        assert refused(store, "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'x String')")
        assert refused(store, "SELECT * FROM file('/etc/passwd', 'LineAsString')")
    assert refused(reader, ROW)
    assert refused(owner, "CREATE TABLE default.other (x UInt8) ENGINE = Memory")
    with pytest.raises(ClickHouseError, match="shouldn't be greater"):
        reader.client.query("SELECT 1", settings={"max_execution_time": 3600})
    for limit in ("max_execution_time", "max_memory_usage", "max_memory_usage_for_user"):  # 0: none
        with pytest.raises(ClickHouseError, match="shouldn't be less"):
            reader.client.query("SELECT 1", settings={limit: 0})


def test_what_the_consoles_user_may_not_is_told_in_the_servers_words(server: ClickHouseServer) -> None:
    """Who searches cannot mend it by narrowing the search."""
    expose("console")

    def ask(memory: int, sql: str) -> object:
        queries = StoreQueries(store_of(server, "reader"), memory)
        try:
            return asyncio.run(queries.rows(sql, seconds=5))
        finally:
            queries.close()

    assert ask(4 << 30, "SELECT 1 AS one") == [{"one": 1}]
    with pytest.raises(Unavailable, match="max_memory_usage"):
        ask(5 << 30, "SELECT 1 AS one")
    with pytest.raises(Unavailable, match="Not enough privileges"):
        ask(1 << 30, "SELECT * FROM system.processes")


def test_another_retention_is_the_owners_to_set(server: ClickHouseServer) -> None:
    writer, owner = settings_of(server, "writer", retention="9d"), settings_of(server, "owner", retention="9d")
    assert prepare_store(Store(writer), writer) == [
        "the retention of the log is another one than the settings say: run `mailscope schema apply`"
    ]
    assert "mails: keeps 9 days" in prepare_store(Store(owner), owner)
    assert prepare_store(Store(writer), writer) == []


def test_the_lock_of_a_job_that_was_killed_is_taken_over(
    server: ClickHouseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = store_of(server, "owner")
    owner.client.command("CREATE TABLE schema_lock_7 (nothing UInt8) ENGINE = MergeTree ORDER BY tuple()")
    with pytest.raises(Unavailable, match="is being changed"), lock_schema.schema_lock(owner, "", patience=0.5):
        pass
    monkeypatch.setattr(lock_schema, "STALE", 1.0)
    monkeypatch.setattr(lock_schema, "RENEWED", 0.2)
    inside: list[int] = []

    def work(number: int) -> int:
        with lock_schema.schema_lock(store_of(server, "owner"), "", patience=60):
            inside.append(number)
            time.sleep(1.5)  # longer than a lock lasts that nobody renews
            assert inside == [number]
            inside.remove(number)
        return number

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(work, range(3))) == [0, 1, 2]
    assert owner.client.query("SHOW TABLES LIKE 'schema_lock%'").result_rows == []


def test_what_was_acknowledged_is_there_after_kill_9(server: ClickHouseServer) -> None:
    writer = store_of(server, "writer")
    before = writer.client.query("SELECT count() FROM dead_letters").result_rows[0][0]
    for number in range(20):
        row = [clock.now(), "test", number]
        writer.client.insert("dead_letters", [row], column_names=["put_aside_at", "stage", "source_offset"])
    server.kill()
    with pytest.raises((ClickHouseError, Unavailable, OSError)) as caught:
        writer.client.query("SELECT 1")
    assert worth_a_retry(caught.value)
    writer.forget()
    server.start()
    assert writer.client.query("SELECT count() FROM dead_letters FINAL").result_rows == [(before + 20,)]


def test_back_and_forward_again(server: ClickHouseServer) -> None:
    owner = settings_of(server, "owner")
    store = Store(owner)
    versions = applied_versions(store)
    for _ in versions:
        assert len(rollback_store(store, owner)) == 1
    assert applied_versions(store) == set()
    assert prepare_store(store, owner) and applied_versions(store) == versions


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dsn": "mysql://x@127.0.0.1/mailscope"}, "'mysql' is no scheme"),
        ({"dsn": "clickhouse://x@127.0.0.1/mail-scope"}, "'mail-scope' is no name"),
        ({"dsn": "clickhouse://x@127.0.0.1:8123x/mailscope"}, "its port is no number"),
        ({"dsn": "clickhouse://x:pass/word@127.0.0.1:8123/mailscope"}, "its port is no number"),
        ({"dsn": "clickhouse://x:12/34@127.0.0.1:8123/mailscope"}, "a password with / stands better"),
        ({"dsn": "clickhouse://x@127.0.0.1:8123/mailscope?nonsense=1"}, "does not know one of its parameters"),
        ({"password_file": "/nowhere/password"}, "store.password_file: /nowhere/password cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_told(server: ClickHouseServer, change: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        Store(settings_of(server, "writer", **change)).ping()


def test_a_wrong_password_is_told_and_heals(server: ClickHouseServer, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("wrong\n")
    store = Store(settings_of(server, "writer", password_file=str(file)))
    with pytest.raises(Unavailable, match=r"516"):
        store.ping()
    file.write_text((server.folder / "writer").read_text())
    store.ping()


def test_a_password_that_is_changed_while_a_client_is_open_is_waited_for(
    server: ClickHouseServer, tmp_path: Path
) -> None:
    """First at the server, then in the file, as docs/operations/secrets.md has it."""
    users, file = server.folder / "users.d" / "mailscope.xml", tmp_path / "password"
    before = users.read_text()
    owner = settings_of(server, "owner")
    prepare_store(Store(owner), owner)
    file.write_text((server.folder / "reader").read_text())
    expose("console")
    queries = StoreQueries(Store(settings_of(server, "reader", password_file=str(file))), 1 << 30)

    def answered() -> bool:
        try:
            return asyncio.run(queries.rows("SELECT 1 AS one", seconds=5)) == [{"one": 1}]
        except Unavailable:
            return False

    def serve(text: str) -> None:
        server.kill()
        users.write_text(text)
        server.start()

    try:
        assert answered()
        serve(before.replace('<password from_env="MAILSCOPE_READER_PASSWORD"/>', "<password>another</password>"))
        assert not answered() and not answered()
        file.write_text("another\n")
        assert answered()
    finally:
        queries.close()
        serve(before)


def test_over_https_the_server_has_to_be_who_it_says(server: ClickHouseServer, tmp_path: Path) -> None:
    """The library that runs here serves no TLS: a proxy before it does, as it may in production."""
    known, other = tmp_path / "known", tmp_path / "other"
    known.mkdir()
    other.mkdir()
    authority = Authority(known, ["localhost", "127.0.0.1"])
    stranger = Authority(other, ["localhost", "127.0.0.1"])
    with tls_proxy(authority.context, server.port) as port:
        dsn = f"clickhouses://mailscope_writer@127.0.0.1:{port}/mailscope?ca_cert="
        Store(settings_of(server, "writer", dsn=f"{dsn}{authority.ca_file}")).ping()
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            Store(settings_of(server, "writer", dsn=f"{dsn}{stranger.ca_file}")).ping()


@contextlib.contextmanager
def tls_proxy(context: ssl.SSLContext, target: int) -> Iterator[int]:
    """A port that speaks TLS and passes on to a port that does not."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    loop, port = LoopThread(), find_free_port()
    opened = loop.run(asyncio.start_server(serve, "127.0.0.1", port, ssl=context))
    try:
        yield port
    finally:
        loop.stop(opened.close)
