"""How every stage of ours runs: its log, its health server, uvloop, and an event that is set when it shall stop."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

import uvloop

from contracts.errors import ConfigurationError, Unavailable
from contracts.settings import Settings
from runtime.health import Readiness, serve_health
from runtime.load_settings import load_settings
from runtime.log import set_up_logging

Main = Callable[[Settings, asyncio.Event, Readiness], Awaitable[None]]

EX_UNAVAILABLE = 69  # sysexits.h: a dependency does not answer; the supervisor starts us again
EX_CONFIG = 78  # sysexits.h: starting again does not help


def instance_name(default: str) -> str:
    """Name of this process among its like: unique, and stable over restarts (it is its Kafka `group.instance.id`)."""
    return os.environ.get("MAILSCOPE_INSTANCE") or f"{socket.gethostname()}-{default}"


def run_stage(name: str, main: Main, health_port: int | None) -> int:
    """Run a stage until SIGTERM or SIGINT; the exit code. A bug stops it with a traceback and code 1.

    `health_port` is an offset from `metrics.port`; None when the stage serves its own health.
    """
    set_up_logging()
    log = logging.getLogger(f"mailscope.{name}")
    try:
        settings = load_settings()
        readiness = Readiness()
        if health_port is not None:
            serve_health(settings.metrics.host, settings.metrics.port + health_port, readiness)
        uvloop.run(_until_stopped(settings, main, readiness))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    except Unavailable as error:
        log.error("stopped: %s", error)
        return EX_UNAVAILABLE
    except OSError as error:
        log.error("stopped: %s", error)
        return EX_UNAVAILABLE
    log.info("stopped")
    return 0


async def _until_stopped(settings: Settings, main: Main, readiness: Readiness) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await main(settings, stop, readiness)
