"""A ClickHouse sink that is killed while it inserts and counts: `python -m tests.integration.dying_counter FOLDER`.

It adds mails to the last hours, some of which change their status, and counts the hours meanwhile, until somebody kills it."""

import pickle
import random
import sys
import threading
from datetime import timedelta
from pathlib import Path

from contracts.settings import Settings
from contracts.statuses import BounceClass, BounceType, Status
from runtime.open_store import Store
from sinks.clickhouse.build_hours import build_once
from sinks.clickhouse.migrate_store import migrate_store
from sinks.clickhouse.to_rows import Rows as InsertedRows
from tests.integration.console_log import Log

FULL = (BounceType.SOFT, BounceClass.MAILBOX_FULL)


class Rows(Log):
    """Rows only, without a console."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(Settings(data_dir=folder))
        migrate_store(self.store, Settings(data_dir=folder))
        self._offset, self._types = 0, {}
        self._in_work = folder / "in-work"
        if self._in_work.exists():  # as Kafka does, which gives again what was not committed
            super().insert(pickle.loads(self._in_work.read_bytes()))

    def insert(self, rows: InsertedRows) -> None:
        partial = self._in_work.with_suffix(".new")
        partial.write_bytes(pickle.dumps(rows))
        partial.rename(self._in_work)
        super().insert(rows)


def count(store: Store) -> None:
    while True:
        build_once(store)


def main(folder: Path) -> None:
    log = Rows(folder)
    threading.Thread(target=count, args=(log.store,), daemon=True).start()
    print("counting", flush=True)
    while True:
        age = timedelta(hours=random.choice((0, 5, 30)), seconds=random.randrange(60))
        mail_id = log.add("a@x.example", Status.DEFERRED, age=age, attempt=1, bounce=FULL)
        if random.random() < 0.5:
            log.add("a@x.example", Status.FORWARDED, mail_id=mail_id, attempt=2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
