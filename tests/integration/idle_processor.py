"""A Faust app that works on every record for ever: `python -m tests.integration.idle_processor BOOTSTRAP TOPIC FOLDER`.

Its watchdog ends it after a second without progress, where records wait for it and none is in work. At every look it says the lag and how
many partitions it has."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Set
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from contracts.records import ConsumedRecord, Place, Record
from processors import run_app
from runtime import watch_lag
from runtime.expose_metrics import expose
from runtime.health import Readiness
from runtime.publish import Publisher
from tests.fakes.broker import settings_of


class Waiting:
    """What it decides never comes."""

    def begin(self, publisher: Publisher) -> None:
        return

    async def handle(self, source: ConsumedRecord) -> list[list[Record]]:
        await asyncio.Event().wait()
        return []

    def tell_failed(self, source: ConsumedRecord, why: str) -> list[Record]:
        return []

    def weigh(self, source: ConsumedRecord) -> int:
        return source.size

    def forget_partitions(self, partitions: Iterable[int]) -> None:
        return


async def watch(*given: Any, assigned: Callable[[], Set[Place]], **more: Any) -> None:
    """The watchdog, impatient and heard."""

    def tell(lag: int) -> None:
        print(lag, len(assigned()), flush=True)

    await watch_lag.watch_lag(*given, assigned=assigned, **{**more, "tell": tell, "stuck": 1.0})


def main(bootstrap: str, topic: str, folder: Path) -> None:
    watch_lag.INTERVAL = 0.3
    vars(run_app).update(watch_lag=watch, stages=SimpleNamespace(group_of=lambda name, topic: f"group-of-{topic}"))
    expose("outcomes")
    run_app.run_app("outcomes", topic, Waiting(), settings_of(bootstrap, folder), Readiness())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
