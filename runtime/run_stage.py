"""How every stage lives: its log, settings and metrics, its name among its like, its health, and an event that tells it to stop."""

import asyncio
import fcntl
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import IO

import uvloop

from contracts.errors import ConfigurationError, Unavailable
from contracts.settings import Settings
from contracts.stages import Stage
from runtime.end_in_time import end_soon, say_what_hangs
from runtime.end_process import EX_CONFIG, EX_UNAVAILABLE
from runtime.expose_metrics import expose
from runtime.health import Readiness, serve_health
from runtime.load_settings import load_settings
from runtime.log import set_up_logging
from runtime.own_folder import own_folder

Main = Callable[[Settings, asyncio.Event, Readiness], Awaitable[None]]
Run = Callable[[Settings, Readiness], None]

TRY_AGAIN = 0.5  # seconds
STARTING = 0.5  # seconds that a process which never became ready has to end by itself when it is told to stop

_locks: list[IO[str]] = []  # held until the process ends


def instance_name(default: str) -> str:
    """Name of this process among its like: unique, and stable over restarts (it is its Kafka `group.instance.id`)."""
    return os.environ.get("MAILSCOPE_INSTANCE") or f"{socket.gethostname()}-{default}"


def run_stage(stages: list[Stage], main: Main, health_offset: int | None) -> int:
    """Run the process of one stage, or of several that share it, until SIGTERM or SIGINT; the exit code. A bug ends it with a
    traceback and code 1. `health_offset` replaces the table's; where both are None, the stage serves its own health."""
    return run_process(
        stages, lambda settings, readiness: uvloop.run(_until_stopped(settings, main, readiness)), health_offset
    )


def run_process(stages: list[Stage], run: Run, health_offset: int | None) -> int:
    """`run_stage` for a stage that has an event loop and a way to stop of its own."""
    set_up_logging()
    name = stages[0].name
    log = logging.getLogger(f"mailscope.{name}")
    try:
        settings = load_settings()
        _be_the_only(instance_name(name), settings)
        expose(*(stage.name for stage in stages))
        readiness = Readiness()
        offset = stages[0].health_offset if health_offset is None else health_offset
        if offset is not None:
            serve_health(settings.metrics.host, settings.metrics.port + offset, readiness)
        try:
            run(settings, readiness)
        finally:
            end_soon()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    except (Unavailable, OSError) as error:
        log.error("stopped: %s", error)
        return EX_UNAVAILABLE
    log.info("stopped")
    return 0


async def until_available(step: Callable[[], Awaitable[None]], readiness: Readiness) -> None:
    """Take a step of the start until what it needs answers, and say meanwhile why this process is not ready. Any other error is a bug:
    this process is not ready then, and its log has the details."""
    while True:
        try:
            await step()
        except (Unavailable, OSError) as error:
            readiness.set(str(error))
            await asyncio.sleep(TRY_AGAIN)
            continue
        except Exception as error:
            logging.getLogger("mailscope").error("a step of the start failed", exc_info=error)
            readiness.set(f"{type(error).__name__}: {error}")
            return
        readiness.set()
        return


def _be_the_only(instance: str, settings: Settings) -> None:
    """Two processes of one name would put each other out of their consumer group in turn: the second one refuses to start."""
    own_folder(settings.data_dir)
    folder = settings.data_dir / "run"
    folder.mkdir(exist_ok=True)
    lock = (folder / (re.sub(r"[^\w.-]", "_", instance) + ".lock")).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise ConfigurationError(
            f"a process with the name '{instance}' runs already on {settings.data_dir}: give this one another name in MAILSCOPE_INSTANCE"
        ) from None
    _locks.append(lock)


async def _until_stopped(settings: Settings, main: Main, readiness: Readiness) -> None:
    """Run until `main` returns, which it does soon after `stop` is set; while it starts it is cancelled then."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    working = asyncio.ensure_future(main(settings, stop, readiness))
    told = asyncio.ensure_future(stop.wait())
    await asyncio.wait({working, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if stop.is_set():
        say_what_hangs()
        if (
            not readiness.was_ready
        ):  # it may wait for something that does not answer, where it does not hear of stopping
            await asyncio.wait({working}, timeout=STARTING)
            working.cancel()
    try:
        await working
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
    finally:
        end_soon()
