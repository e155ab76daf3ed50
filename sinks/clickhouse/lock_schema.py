"""One process at a time changes the schema of a ClickHouse server.

The lock is a table, since `CREATE TABLE` is what a server (and, ON CLUSTER, its queue of DDL) lets one of several win. Its holder
writes its comment anew while it works; a lock that was not written for STALE seconds was left by a process that died, and whoever comes
next takes one of the next number. Of two that are taken at a time each sees the other, and both are given back.
"""

import contextlib
import logging
import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator

from clickhouse_connect.driver.exceptions import ClickHouseError

from contracts.errors import Unavailable
from runtime.open_store import STORE, Store, not_allowed, worth_a_retry

_log = logging.getLogger("mailscope.schema")
STALE = 60.0  # seconds
RENEWED = 15.0  # seconds between two signs of life
PATIENCE = 600.0  # seconds that one waits for another
PREFIX = "schema_lock_"
_TAKEN = "Code: 57."  # TABLE_ALREADY_EXISTS
_HELD = f"""
SELECT toUInt32OrZero(substring(name, {len(PREFIX) + 1})), dateDiff('second', metadata_modification_time, now()), comment
FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '{PREFIX}')
"""


@contextlib.contextmanager
def schema_lock(store: Store, on_cluster: str, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock for the block. Unavailable when another one holds it for `patience` seconds."""
    number = _take(store, on_cluster, time.monotonic() + patience)
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(store, on_cluster, number, done), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        # The stale ones of those that died go with it.
        for other, age, _ in _held(store):
            if other == number or age > STALE:
                store.client.command(f"DROP TABLE IF EXISTS {PREFIX}{other} {on_cluster} SYNC")


def _take(store: Store, on_cluster: str, until: float) -> int:
    """The number of a lock that is ours alone."""
    said = ""
    while True:
        held = _held(store)
        fresh = [holder for _, age, holder in held if age <= STALE]
        if not fresh:
            number = max((one for one, _, _ in held), default=0) + 1
            if _create(store, on_cluster, number):
                if all(one == number or age > STALE for one, age, _ in _held(store)):
                    return number
                store.client.command(f"DROP TABLE IF EXISTS {PREFIX}{number} {on_cluster} SYNC")
        elif fresh[0] != said:
            said = fresh[0]
            _log.info("waiting for %s, who changes the schema", said)
        if time.monotonic() > until:
            raise Unavailable(STORE, f"its schema is being changed by {said or 'others'}, for too long")
        time.sleep(random.uniform(0.2, 1.0))


def _held(store: Store) -> list[tuple[int, int, str]]:
    """(number, age in seconds, holder) of each lock, stale ones too."""
    return [(int(row[0]), int(row[1]), str(row[2])) for row in store.client.query(_HELD).result_rows]


def _create(store: Store, on_cluster: str, number: int) -> bool:
    try:
        store.client.command(
            f"CREATE TABLE {PREFIX}{number} {on_cluster} (nothing UInt8) ENGINE = MergeTree ORDER BY tuple() COMMENT '{_me()}'"
        )
    except ClickHouseError as error:
        if _TAKEN in str(error):
            return False
        raise
    return True


def _renew(store: Store, on_cluster: str, number: int, done: threading.Event) -> None:
    """In a thread with a client of its own: a statement of the block may take long."""
    while not done.wait(RENEWED):
        try:
            store.client.command(
                f"ALTER TABLE {PREFIX}{number} {on_cluster} MODIFY COMMENT '{_me()} at {time.time():.0f}'"
            )
        except (ClickHouseError, OSError, Unavailable) as error:
            if not_allowed(error) or not worth_a_retry(error):
                _log.warning("the lock of the schema is not renewed: %s", str(error)[:300])


def _me() -> str:
    return re.sub(r"[^\w.-]", "_", f"{socket.gethostname()}-{os.getpid()}")
