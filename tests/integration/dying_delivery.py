"""A delivery worker that one mail kills: `python -m tests.integration.dying_delivery BOOTSTRAP FOLDER SMARTHOST MAILS`.

It delivers what `mail.dispatch` asks for; content with the word "poison" ends the process as an out-of-memory kill would. It ends by itself
once so many MAILS have a report in `mail.attempts`."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from runtime.health import Readiness
from sinks.delivery import deliver
from sinks.delivery.open_session import to_wire
from sinks.delivery.run_delivery import run_delivery
from tests.fakes.broker import read_topic, settings_of, wait_until


def deadly(content: bytes) -> bytes:
    """`to_wire`, but for the poison."""
    if b"poison" in content:
        os.kill(os.getpid(), signal.SIGKILL)
    return to_wire(content)


async def main(bootstrap: str, folder: Path, smarthost: str, mails: int) -> None:
    deliver.to_wire = deadly  # type: ignore[attr-defined]
    settings = settings_of(bootstrap, folder, delivery={"retry": ["1s", "2s"], "expire": "1h", "smarthost": smarthost})
    stop = asyncio.Event()
    running = asyncio.create_task(run_delivery(settings, stop, Readiness()))
    # What was on the wire at a death is reported twice: mails count, not records.
    await wait_until(lambda: len({one.key() for one in read_topic(bootstrap, "mail.attempts")}) >= mails, 60)
    stop.set()
    await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
