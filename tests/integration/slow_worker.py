"""A worker of commands that is there to be killed: `python -m tests.integration.slow_worker BOOTSTRAP NAME FOLDER [hang]`.

It writes each command that it has done to `FOLDER/done`; with `hang`, commands to hang@… never end."""

import asyncio
import signal
import sys
from pathlib import Path

from contracts.events import Dispatch
from contracts.records import Record
from runtime.publish import Publisher
from sinks.dispatch.conclude import give_up
from sinks.dispatch.consume_commands import CommandConsumer
from tests.fakes.broker import settings_of


async def main(bootstrap: str, name: str, folder: Path, hang: bool) -> None:
    settings = settings_of(bootstrap, folder)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def work(command: Dispatch) -> list[Record]:
        if hang and command.recipient.startswith("hang@"):
            await asyncio.Event().wait()
        with (folder / "done").open("a") as done:
            done.write(command.recipient + "\n")
        return []

    publisher = Publisher(settings.kafka_client)
    domain = f"@{name}.test"
    consumer = CommandConsumer(
        name, f"mailscope-{name}", settings, publisher, lambda one: one.recipient.endswith(domain), work, give_up, 20
    )
    await consumer.run(stop, 0.1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), "hang" in sys.argv))
