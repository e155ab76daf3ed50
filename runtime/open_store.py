"""Opening the log store: the only place that knows whether it is the embedded engine or a ClickHouse server.

One client serves one thread (a client serialises its threads; several clients on one embedded folder run side by side).
"""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from contracts.errors import ConfigurationError, Unavailable
from contracts.settings import Settings

DATABASE = "mailscope"
STORE = "the log store"  # as `Unavailable.what` names it
MAX_MEMORY = 2 << 30  # octets that one query may take
# ClickHouse error codes after which the same call may work later: time-outs, limits, lost connections, read-only
# replicas, quorums that were not reached, object stores that do not answer, a password that is being changed.
WORTH_A_RETRY = frozenset({159, 164, 201, 202, 209, 210, 225, 236, 241, 242, 243, 252, 285, 286, 319, 499, 516, 999})
UNKNOWN_PARAMETER = "store.dsn: the driver does not know one of its parameters, behind the ?"
NOT_ALLOWED = 497  # ClickHouse's code for a user who may not
_OURS: set[str] = set()  # folders of embedded stores that this process has opened
_SCHEMES = {"clickhouse": "http", "http": "http", "clickhouses": "https", "https": "https"}


class Store:
    """Clients of the log store, one for each thread that asks."""

    def __init__(self, settings: Settings) -> None:
        self._dsn = settings.store_dsn
        self._password_file = settings.store.password_file
        self._database = DATABASE if settings.embedded_store else _database(self._dsn)
        self._cluster = bool(settings.store.cluster)
        self.embedded = settings.embedded_store
        self._local = threading.local()
        self._made = False  # the database of the embedded store
        if self.embedded:
            folder = Path(urlsplit(self._dsn).path)
            folder.mkdir(parents=True, exist_ok=True)
            self._folder = str(folder)
            _clean_leftovers(folder.with_name(folder.name + ".tmp"))

    @property
    def client(self) -> Any:
        """This thread's client. Unavailable when the store does not answer."""
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = _Client(self._open(), self.forget)
        return client

    def forget(self) -> None:
        """Drop this thread's client, so that the next call opens a new one."""
        self._local.client = None

    def ping(self) -> None:
        """Unavailable when the store does not answer."""
        try:
            self.client.query("SELECT 1")
        except (ClickHouseError, OSError) as error:
            raise Unavailable(STORE, str(error)) from error

    def create_database(self, on_cluster: str) -> None:
        """Make the database of a ClickHouse server where it is missing. Unavailable when the store does not answer."""
        try:
            with clickhouse_connect.get_client(**self._server(), database="system", connect_timeout=5) as client:
                name = self._database
                if not client.query("SELECT 1 FROM system.databases WHERE name = {n:String}", {"n": name}).result_rows:
                    client.command(f"CREATE DATABASE IF NOT EXISTS `{name}` {on_cluster}")
        except TypeError as error:
            raise ConfigurationError(UNKNOWN_PARAMETER) from error
        except (ClickHouseError, OSError) as error:
            raise Unavailable(STORE, str(error)) from error

    def _server(self) -> dict[str, Any]:
        """Where the ClickHouse server is, and who we are there."""
        return {"dsn": self._dsn, "interface": _interface(self._dsn), "password": self._password()}

    def _open(self) -> Any:
        limits: dict[str, Any] = {"max_memory_usage": MAX_MEMORY}
        try:
            if self.embedded:
                self._claim_folder()
                if not self._made:  # once: a client is opened anew after each call that fails
                    maker = clickhouse_connect.get_client(interface="chdb", path=self._folder)
                    maker.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
                client = clickhouse_connect.get_client(
                    interface="chdb", path=self._folder, database=DATABASE, settings=limits
                )
                self._made = True
                return client
            return clickhouse_connect.get_client(
                **self._server(),
                database=self._database,
                # Acknowledged means written: not buffered by the server, and on a cluster by more than one replica.
                settings={**limits, "async_insert": 0, **({"insert_quorum": "auto"} if self._cluster else {})},
                autogenerate_session_id=False,
                connect_timeout=5,
                send_receive_timeout=60,
            )
        except TypeError as error:
            raise ConfigurationError(UNKNOWN_PARAMETER) from error
        except (ClickHouseError, OSError, RuntimeError) as error:
            if "EmbeddedServer" in str(error):
                raise self._taken() from error
            raise Unavailable(STORE, str(error)) from error

    def _password(self) -> str:
        """What the file says now; empty where the DSN says it all. ConfigurationError when it cannot be read."""
        if self._password_file is None:
            return ""
        try:
            return self._password_file.read_text("utf-8").splitlines()[0].strip()
        except (OSError, UnicodeDecodeError, IndexError) as error:
            raise ConfigurationError(f"store.password_file: {self._password_file} cannot be read: {error}") from error

    def _claim_folder(self) -> None:
        """ConfigurationError when another process has the folder. The engine would say so as well, and print its own words to standard
        error before it does. Once this process has it, the lock is ours."""
        if self._folder in _OURS:
            return
        try:
            with (Path(self._folder) / "status").open("rb") as status:
                fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise self._taken() from error
            raise
        _OURS.add(self._folder)

    def _taken(self) -> ConfigurationError:
        return ConfigurationError(
            f"another process has the embedded log store open ({self._folder}): the ClickHouse sink and the console "
            "share one process there; with a ClickHouse server (store.dsn) they need not"
        )


class _Client:
    """A client that is dropped by the first call that fails.

    What a query of the embedded engine had put out before it failed stays in its connection, and would stand in front of the next
    answer there (chDB 4.4). And who is somebody else by now (a password that was changed) has to log in anew.
    """

    def __init__(self, client: Any, drop: Callable[[], None]) -> None:
        self._client = client
        self._drop = drop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found

        def call(*given: Any, **more: Any) -> Any:
            try:
                return found(*given, **more)
            except BaseException:
                self._drop()
                with contextlib.suppress(Exception):
                    self._client.close()
                raise

        return call


def _interface(dsn: str) -> str:
    """`http` or `https`. ConfigurationError for any other scheme, or a port that is none: what stands there may be part of a password."""
    scheme = urlsplit(dsn).scheme
    try:
        _ = urlsplit(dsn).port
    except ValueError as error:
        raise ConfigurationError(
            "store.dsn: its port is no number from 1 to 65535 (a password with / or : stands better in store.password_file)"
        ) from error
    if scheme not in _SCHEMES:
        raise ConfigurationError(f"store.dsn: '{scheme}' is no scheme of a log store: {', '.join((*_SCHEMES, 'chdb'))}")
    return _SCHEMES[scheme]


def _database(dsn: str) -> str:
    """The one that the DSN names, or `mailscope`. ConfigurationError for a name that SQL would have to quote."""
    name = urlsplit(dsn).path.strip("/") or DATABASE
    _interface(dsn)
    if "@" in name:
        raise ConfigurationError("store.dsn: a password with / stands better in store.password_file")
    if re.fullmatch(r"\w+", name) is None:
        raise ConfigurationError(f"store.dsn: '{name}' is no name of a database: write letters, digits and _")
    return name


def not_allowed(error: BaseException) -> bool:
    """Whether the store refused because its user may not."""
    return getattr(error, "code", None) == NOT_ALLOWED or f"Code: {NOT_ALLOWED}." in str(error)


def worth_a_retry(error: Exception) -> bool:
    """Whether the same call may work later (the store is away or overloaded), rather than being wrong in itself."""
    if isinstance(error, OperationalError | OSError):
        return True
    if isinstance(error, DatabaseError):
        code = getattr(error, "code", None)
        return code in WORTH_A_RETRY or (code is None and any(f"Code: {one}." in str(error) for one in WORTH_A_RETRY))
    return isinstance(error, Unavailable)


def _clean_leftovers(folder: Path) -> None:
    """A killed embedded engine leaves its temporary files: each process has a folder of its own for them, and removes those of
    processes that are gone. A process that only tries the door takes nothing from the one that has the store open."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_file():
            entry.unlink(missing_ok=True)
        elif entry.name == str(os.getpid()) or not _runs(entry.name):
            shutil.rmtree(entry, ignore_errors=True)
    own = folder / str(os.getpid())
    own.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(own)


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's
        pass
    return True
