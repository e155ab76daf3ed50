"""Whether the log store answers, asked in a thread with a client of its own, so that health waits behind no page and no query."""

import threading
import time

from clickhouse_connect.driver.exceptions import ClickHouseError

from contracts.errors import Unavailable
from runtime.open_store import STORE, Store

EVERY = 2.0  # seconds between two questions
AGAIN = 0.2  # seconds while it is away
SILENT = 15.0  # seconds without an answer after which the store counts as away


class StoreWatch:
    """Asks from `start` on. `why_not_ready` never waits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answered = time.monotonic()
        self._trouble = "the log store has not been asked yet"
        self._stop = threading.Event()

    def start(self) -> None:
        """Begin to ask."""
        threading.Thread(target=self._run, name="store watch", daemon=True).start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()

    def why_not_ready(self) -> str:
        """Empty when the store answered lately."""
        silent = time.monotonic() - self._answered
        return self._trouble or (f"{STORE} has not answered for {silent:.0f} s" if silent > SILENT else "")

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._store.client.query("SELECT 1 FROM mails LIMIT 1")
                self._answered, self._trouble = time.monotonic(), ""
            except Unavailable as error:
                self._trouble = str(error)
            except (ClickHouseError, OSError) as error:
                self._trouble = f"{STORE} is unavailable: {str(error)[:200]}"
            self._stop.wait(AGAIN if self._trouble else EVERY)
