"""A process as the supervisor sees it: a command to keep running. Pure."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

# sysexits.h, as our stages use them
MEANINGS = {
    69: " (something it needs does not answer)",
    70: " (it could not go on; its log says why)",
    71: " (the system gave it no process)",
    78: " (its configuration is wrong)",
}

Ready = Callable[[], bool] | str | None


class State(StrEnum):
    """Where a stage is in its life."""

    WAITING = "waiting"  # for the stages it comes after
    STARTING = "starting"  # its process runs but is not ready
    READY = "ready"  # its process runs and says that it is ready
    UNREADY = "unready"  # was ready, and is not any more
    BACKOFF = "backoff"  # its process ended; another will be started
    DONE = "done"  # ran once and succeeded
    STOPPED = "stopped"  # ended because everything stops


@dataclass(frozen=True)
class Process:
    """One process of the pipeline. Durations in seconds.

    `ready` says when it is: a URL that answers 200, `tcp://host:port` that accepts, a blocking function that returns
    True (run in a thread), or None: at once. With `once` the process is expected to end with 0, and is ready then.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)  # on top of the supervisor's own
    ready: Ready = None
    after: tuple[str, ...] = ()  # starts once these are ready
    stop_order: int = 0  # lowest first; the highest (the broker) is stopped when all others are gone
    once: bool = False
    ready_within: float = 30.0  # after which the supervisor says that it is late
    log_file: Path | None = None  # where else it writes; named when it ends unexpectedly


@dataclass
class Backoff:
    """How long to wait before the next start: doubled by each failure, forgotten after a run that went well."""

    first: float = 0.2
    most: float = 10.0
    well: float = 20.0  # a run this long went well
    failures: int = 0

    def after(self, ran: float) -> float:
        """The pause after a process that ran for `ran` seconds."""
        self.failures = 1 if ran >= self.well else self.failures + 1
        return min(self.most, self.first * 2.0 ** min(self.failures - 1, 30))


def check(stages: Sequence[Process]) -> None:
    """Raise ValueError when names are doubled, or a stage comes after one that is unknown or comes after it."""
    names = [stage.name for stage in stages]
    if len(set(names)) != len(names):
        raise ValueError(f"stage names are not unique: {', '.join(names)}")
    settled: set[str] = set()
    left = list(stages)
    while left:
        free = [stage for stage in left if set(stage.after) <= settled]
        if not free:
            raise ValueError("stages wait for each other or for an unknown one: " + ", ".join(s.name for s in left))
        settled.update(stage.name for stage in free)
        left = [stage for stage in left if stage not in free]


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}{MEANINGS.get(code, '')}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
