"""A worker of commands that is there to be killed: `python -m tests.integration.slow_worker BOOTSTRAP NAME FOLDER [hang]`.

It writes each command that it has done to `FOLDER/done`; with `hang`, commands to hang@… never end."""

import asyncio
import signal
import sys
from pathlib import Path

from runtime.publish import Publisher
from sinks.dispatch.consume_commands import CommandConsumer
from sinks.dispatch.job import Done, Job
from sinks.dispatch.report_attempt import give_up
from tests.fakes.broker import settings_of


async def main(bootstrap: str, name: str, folder: Path, hang: bool) -> None:
    settings = settings_of(bootstrap, folder)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def work(job: Job) -> Done:
        job.begin()
        if hang and job.command.recipient.startswith("hang@"):
            await asyncio.Event().wait()
        with (folder / "done").open("a") as done:
            done.write(job.command.recipient + "\n")
        return Done([])

    publisher = Publisher(settings.kafka_client)
    domain = f"@{name}.test"
    consumer = CommandConsumer(
        name,
        f"mailscope-{name}",
        settings,
        publisher,
        lambda one: one.recipient.endswith(domain),
        lambda job: job.command.recipient,
        work,
        give_up,
        slots=20,
        per_lane=20,
    )
    await consumer.run(stop, 0.1)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), "hang" in sys.argv))
