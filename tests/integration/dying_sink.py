"""A ClickHouse sink that one record kills: `python -m tests.integration.dying_sink BOOTSTRAP FOLDER GROUP RECORDS`.

It inserts what `mail.events` holds; a row with the subject "poison" ends the process as an out-of-memory kill would. It ends by itself
once RECORDS are committed, and prints the subjects that the log has."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from confluent_kafka import KafkaException

from contracts.stages import Group
from runtime.open_store import Store
from runtime.publish import Publisher
from sinks.clickhouse.insert_rows import Inserter
from sinks.clickhouse.migrate_store import migrate_store
from sinks.clickhouse.to_rows import Row
from tests.fakes.broker import committed, settings_of, wait_until


class DyingInserter(Inserter):
    """The real one, but for the poison."""

    def _insert_once(self, table: str, rows: list[Row]) -> None:
        if any(row.get("subject") == "poison" for row in rows):
            os.kill(os.getpid(), signal.SIGKILL)
        super()._insert_once(table, rows)


async def main(bootstrap: str, folder: Path, group: str, records: int) -> None:
    settings = settings_of(bootstrap, folder)
    store, stop = Store(settings), asyncio.Event()
    migrate_store(store, settings)
    publisher = Publisher(settings.kafka_client, timeout=20.0)
    running = asyncio.create_task(DyingInserter(Group(group, ("mail.events",)), settings, store, publisher).run(stop))

    def all_committed() -> bool:
        try:
            return committed(bootstrap, group, "mail.events").offset >= records
        except KafkaException:  # the group is being made
            return False

    await wait_until(all_committed, 40)
    stop.set()
    await running
    await publisher.close()
    print(json.dumps(sorted(row[0] for row in store.client.query("SELECT subject FROM mails FINAL").result_rows)))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
