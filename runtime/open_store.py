"""Opening the log store: the only place that knows whether it is the embedded engine or a ClickHouse server.

One client serves one thread (a client serialises its threads; several clients on one embedded folder run side by side).
"""

import errno
import fcntl
import os
import shutil
import threading
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
# replicas, quorums that were not reached, object stores that do not answer.
_OURS: set[str] = set()  # folders of embedded stores that this process has opened
WORTH_A_RETRY = frozenset({159, 164, 201, 202, 209, 210, 225, 236, 241, 242, 243, 252, 285, 286, 319, 499, 999})


class Store:
    """Clients of the log store, one for each thread that asks."""

    def __init__(self, settings: Settings) -> None:
        self._dsn = settings.store_dsn
        self._cluster = bool(settings.store.cluster)
        self.embedded = settings.embedded_store
        self._local = threading.local()
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
            client = self._local.client = self._open()
        return client

    def forget(self) -> None:
        """Drop this thread's client, so that the next call opens a new one."""
        self._local.client = None

    def ping(self) -> None:
        """Unavailable when the store does not answer."""
        try:
            self.client.query("SELECT 1")
        except (ClickHouseError, OSError) as error:
            self.forget()
            raise Unavailable(STORE, str(error)) from error

    def _open(self) -> Any:
        limits: dict[str, Any] = {"max_memory_usage": MAX_MEMORY}
        try:
            if self.embedded:
                self._claim_folder()
                maker = clickhouse_connect.get_client(interface="chdb", path=self._folder)
                maker.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE}")
                return clickhouse_connect.get_client(
                    interface="chdb", path=self._folder, database=DATABASE, settings=limits
                )
            return clickhouse_connect.get_client(
                dsn=self._dsn,
                # Acknowledged means written: not buffered by the server, and on a cluster by more than one replica.
                settings={**limits, "async_insert": 0, **({"insert_quorum": "auto"} if self._cluster else {})},
                autogenerate_session_id=False,
                connect_timeout=5,
                send_receive_timeout=60,
            )
        except (ClickHouseError, OSError, RuntimeError) as error:
            if "EmbeddedServer" in str(error):
                raise self._taken() from error
            raise Unavailable(STORE, str(error)) from error

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
