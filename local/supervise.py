"""Keep all stages of the pipeline running on this machine, and stop them in order.

Promise: a stage that dies is started again; when the supervisor ends, by a signal or by kill -9, none of its stages
is left running. SIGTERM or one Ctrl-C stops in order within 10 s, a second Ctrl-C at once.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from contracts import clock
from local.lock_data import lock_data
from local.log_lines import LineWriter
from local.process import Process, State, check
from local.run_files import RETRY, RunFiles
from local.run_process import ProcessRunner

GRACE = 7.8  # seconds from the first SIGTERM until what still runs is killed
LAST_GRACE = 2.0  # seconds more for the last to stop (the broker), which is asked when all others are gone
RESERVE = 1.8  # seconds that each rank keeps for itself, however long those before it take
ECHO = 0.5  # seconds within which a second Ctrl-C is the first one, heard twice
LATE = 15.0  # seconds after which the supervisor says what it is still waiting for


class Supervisor:
    """Runs stages in `data`; `data/run/<stage>.pid` and `data/run/stages.json` say what runs."""

    def __init__(
        self,
        stages: Sequence[Process],
        data: Path,
        out: TextIO = sys.stdout,
        on_ready: Callable[[float], str | None] | None = None,
        before_start: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_ready` is called once, when every stage is up, with the seconds it took; what it returns is printed. What
        `before_start` raises ends `run` before anything is started."""
        check(stages)
        self._data = data
        self._run_folder = data / "run"
        self._writer = LineWriter(out, width=max([len(stage.name) for stage in stages] + [10]))
        self._files = RunFiles(lambda text: self._writer.write("supervisor", text))
        self._runners = {
            stage.name: ProcessRunner(stage, self._run_folder, self._files, self._writer.write, self._changed)
            for stage in stages
        }
        self._on_ready = on_ready
        self._before_start = before_start
        self._stop = asyncio.Event()
        self._kill = asyncio.Event()
        self._stop_asked = 0.0

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now, by stage."""
        return {name: runner.pid for name, runner in self._runners.items() if runner.pid is not None}

    @property
    def states(self) -> dict[str, State]:
        """Where each stage is in its life."""
        return {name: runner.state for name, runner in self._runners.items()}

    async def run(self) -> int:
        """Run until a signal or `stop`. Returns 0, or 1 when a stage had to be killed. Raises DataInUse."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self.interrupt)
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup means it
            loop.add_signal_handler(signal.SIGHUP, self.stop)
        with lock_data(self._data):
            self._before_start()
            for stale in self._run_folder.glob("*.pid"):
                self._files.remove(stale)
            retrying = asyncio.create_task(self._write_what_is_missing())
            lives = [asyncio.create_task(self._live(runner)) for runner in self._runners.values()]
            welcome = asyncio.create_task(self._welcome())
            await _first(self._stop.wait(), self._failure(lives))
            welcome.cancel()
            killed = await self._stop_all()
            for ended in await asyncio.gather(*lives, return_exceptions=True):
                if isinstance(ended, BaseException):
                    raise ended
            retrying.cancel()
            self._files.retry()
            return 1 if killed else 0

    def stop(self) -> None:
        """Stop in order."""
        if not self._stop.is_set():
            self._stop_asked = time.monotonic()
            self._stop.set()

    def interrupt(self) -> None:
        """Ctrl-C: stop in order; pressed again: at once."""
        # One Ctrl-C can arrive twice, from the terminal and from a parent that passes it on.
        if self._stop.is_set() and time.monotonic() - self._stop_asked > ECHO:
            self._kill.set()
        self.stop()

    async def _live(self, runner: ProcessRunner) -> None:
        needed = [self._runners[name].was_ready for name in runner.stage.after]
        await _first(self._stop.wait(), _all(needed))
        if self._stop.is_set():
            runner.gone.set()
            return
        await runner.run()

    async def _failure(self, lives: list[asyncio.Task[None]]) -> None:
        # A runner never fails by itself: if it does, it is our bug, and nothing must stay half up.
        await asyncio.wait(lives, return_when=asyncio.FIRST_EXCEPTION)
        errors = [life.exception() for life in lives if life.done() and not life.cancelled()]
        for error in filter(None, errors):
            self._writer.write("supervisor", f"cannot go on: {type(error).__name__}: {error}")
            return
        await asyncio.Event().wait()  # all ran once and succeeded: up until told to stop

    async def _write_what_is_missing(self) -> None:
        while True:
            await asyncio.sleep(RETRY)
            self._files.retry()

    async def _welcome(self) -> None:
        started = time.monotonic()
        everyone = asyncio.create_task(_all([runner.was_ready for runner in self._runners.values()]))
        try:
            while not (await asyncio.wait([everyone], timeout=LATE))[0]:
                missing = [f"{n} ({r.reason or r.state})" for n, r in self._runners.items() if not r.was_ready.is_set()]
                self._writer.write("supervisor", f"still waiting for {', '.join(missing)}")
        finally:
            everyone.cancel()
        took = time.monotonic() - started
        self._writer.write("supervisor", f"all {len(self._runners)} stages are up after {took:.1f} s")
        if self._on_ready is not None and (text := self._on_ready(took)):
            self._writer.plain(text)

    async def _stop_all(self) -> list[str]:
        """Ask rank after rank to end; returns the names of those that had to be killed."""
        self._writer.write("supervisor", "stopping; press Ctrl-C again to kill at once")
        begun = time.monotonic()
        ranks = sorted({runner.stage.stop_order for runner in self._runners.values() if not runner.gone.is_set()})
        for number, rank in enumerate(ranks):
            last = number == len(ranks) - 1
            for runner in self._runners.values():
                if runner.stage.stop_order == rank:
                    runner.terminate()
            until = begun + deadline(number, len(ranks))
            if last and len(ranks) > 1:
                until = time.monotonic() + LAST_GRACE
            asked = [runner for runner in self._runners.values() if runner.stage.stop_order <= rank]
            await self._gone(asked, until)
            if self._kill.is_set():
                asked = list(self._runners.values())
            if last or self._kill.is_set() or number == len(ranks) - 2:
                for runner in asked:
                    if not runner.gone.is_set():
                        runner.kill()
                await _all([runner.gone for runner in asked])
        took = time.monotonic() - begun
        killed = [name for name, runner in self._runners.items() if runner.killed]
        for name in killed:
            self._writer.write("supervisor", f"{name} did not end in time and was killed")
        self._writer.write("supervisor", f"stopped after {took:.1f} s")
        return killed

    async def _gone(self, runners: list[ProcessRunner], until: float) -> None:
        gone = _all([runner.gone for runner in runners])
        await _first(gone, self._kill.wait(), at_most=max(0.0, until - time.monotonic()))

    def _changed(self) -> None:
        """Write `stages.json`."""
        stages = {
            name: {
                "state": runner.state.value,
                "pid": runner.pid,
                "restarts": runner.restarts,
                "reason": runner.reason,
                "since": clock.rfc3339(runner.since),
                "last_error": runner.last_error,
            }
            for name, runner in self._runners.items()
        }
        text = json.dumps({"supervisor": os.getpid(), "stages": stages}, indent=1)
        self._files.write(self._run_folder / "stages.json", text)


def deadline(number: int, ranks: int) -> float:
    """Seconds after which rank `number` of `ranks` holds up the next one no longer; it goes on ending beside it.

    The first may take most of GRACE, since those after it need what it is waiting for; each keeps a RESERVE.
    """
    others = max(1, ranks - 1)  # the last has a time of its own
    return GRACE - min(RESERVE, GRACE / others) * (others - 1 - min(number, others - 1))


async def _first(*awaited: Coroutine[Any, Any, object], at_most: float | None = None) -> None:
    """Wait until the first of them ends (or the time is over) and forget the others."""
    futures = [asyncio.create_task(each) for each in awaited]
    try:
        await asyncio.wait(futures, timeout=at_most, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in futures:
            future.cancel()


async def _all(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        await event.wait()
