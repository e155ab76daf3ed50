"""One stage's life: start it, listen to it, ask whether it is ready, start it again when it dies."""

import asyncio
import os
import re
import signal
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from local import die_with_parent
from local.log_lines import LineSplitter
from local.probe_ready import why_not_ready
from local.process import Backoff, Process, State, ending
from local.run_files import RunFiles
from runtime.log import printable

ASK_STARTING = 0.15  # seconds between two questions while it starts
ASK_READY = 3.0  # and once it is ready
EX_OSERR = 71  # sysexits.h: the system gives us no process
FLAPPING = 3  # deaths within FLAPPING_WINDOW seconds
FLAPPING_WINDOW = 60.0
# How the lines of our stages, and of Kafka, begin that tell of an error.
ERROR = re.compile(r"\S+Z (?:ERROR|CRITICAL) |\[[^\]]+\] (?:ERROR|FATAL) ")
LONGEST_ERROR = 500  # characters


class ProcessRunner:
    """Keeps one stage running until it is told to stop. `said` takes its lines, `changed` hears of each new state."""

    def __init__(
        self,
        stage: Process,
        run_folder: Path,
        files: RunFiles,
        said: Callable[[str, str], None],
        changed: Callable[[], None],
    ) -> None:
        self.stage = stage
        self.state = State.WAITING
        self.restarts = 0
        self.killed = False  # it did not end by itself in time
        self.reason: str | None = None  # why it is not ready
        self.since = datetime.now(UTC)  # when it entered its state
        self.last_error: str | None = None  # the last line in which it told of an error
        self.was_ready = asyncio.Event()
        self.gone = asyncio.Event()  # its process ended and no other will be started
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._pid_file = run_folder / f"{stage.name}.pid"
        self._files = files
        self._said = said
        self._changed = changed
        self._deaths: deque[float] = deque(maxlen=FLAPPING)

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return self._process.pid if self._process is not None else None

    async def run(self) -> None:
        """Run it until `terminate` or `kill`, or until it has succeeded when it is to run once."""
        backoff = Backoff()
        try:
            while not self._stopping.is_set():
                started = time.monotonic()
                try:
                    code = await self._run_process()
                except OSError as error:  # no memory, no process, no file handle left: that passes
                    self._say(f"cannot be started: {error.strerror or error}")
                    code = EX_OSERR
                if self.stage.once and code == 0:
                    self._enter(State.DONE)
                    self.was_ready.set()
                    return
                if self._stopping.is_set():
                    break
                pause = backoff.after(time.monotonic() - started)
                self.restarts += 1
                self._enter(State.BACKOFF, ending(code))  # before it is said: who hears it may look
                self._report_death(code, time.monotonic() - started, pause)
                try:
                    await asyncio.wait_for(self._stopping.wait(), pause)
                except TimeoutError:
                    pass
            self._enter(State.STOPPED)
        finally:
            self.gone.set()

    def terminate(self) -> None:
        """Ask it to end in order; it will not be started again."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all it has started, now."""
        self._stopping.set()
        self.killed = self._process is not None
        self._sweep()

    async def _run_process(self) -> int:
        self._enter(State.STARTING)
        # A pipe of our own: with asyncio's, the end of a process is not told before all heirs of its output end too.
        ours, its = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *die_with_parent.command(list(self.stage.argv)),
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.stage.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=its,
                stderr=its,
                start_new_session=True,  # Ctrl-C at the terminal reaches the supervisor alone
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(its)
        self._process = process
        if self._stopping.is_set():  # told to stop while it was being started
            process.terminate()
        self._files.write(self._pid_file, f"{process.pid}\n")
        self._changed()
        listening = asyncio.create_task(self._listen(ours))
        asking = asyncio.create_task(self._ask())
        try:
            code = await process.wait()
        finally:
            asking.cancel()
            self._sweep()  # what it started and left behind would hold its ports
            self._process = None
            self._files.remove(self._pid_file)
        await asyncio.wait([listening], timeout=0.5)  # its last words; a stray heir of its output must not hold us
        listening.cancel()
        return code

    async def _listen(self, output: int) -> None:
        reader, splitter = asyncio.StreamReader(), LineSplitter()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(output, "rb", buffering=0)
        )
        try:
            while data := await reader.read(65536):
                for line in splitter.feed(data):
                    self._hear(line)
        finally:
            for line in splitter.rest():
                self._hear(line)
            transport.close()

    def _hear(self, line: str) -> None:
        self._said(self.stage.name, line)
        if ERROR.match(line):
            self.last_error = printable(line)[:LONGEST_ERROR]
            self._changed()

    async def _ask(self) -> None:
        if self.stage.once:
            return
        started, patience = time.monotonic(), self.stage.ready_within
        while True:
            reason = await why_not_ready(self.stage.ready)
            if reason is None and self.state is not State.READY:
                if self.state is State.UNREADY:
                    self._say("is ready again")
                self._enter(State.READY)
                self.was_ready.set()
            elif reason is not None and self.state is State.READY and not self._stopping.is_set():
                self._say(f"is not ready any more: {reason}")
                self._enter(State.UNREADY, reason)
            elif reason is not None and self.state is State.STARTING and time.monotonic() - started > patience:
                self._say(f"is not ready after {patience:g} s: {reason}")
                self.reason = reason
                self._changed()
                patience *= 2
            if self.stage.ready is None:
                return
            await asyncio.sleep(ASK_READY if self.state is State.READY else ASK_STARTING)

    def _report_death(self, code: int, ran: float, pause: float) -> None:
        now = time.monotonic()
        self._deaths.append(now)
        see = f" (see {self.stage.log_file})" if self.stage.log_file else ""
        self._say(f"{ending(code)} after {ran:.1f} s{see}; starting it again in {pause:.1f} s")
        if self.restarts % FLAPPING == 0 and now - self._deaths[0] < FLAPPING_WINDOW:
            self._say(f"keeps ending: {self.restarts} times so far, {FLAPPING} of them within {FLAPPING_WINDOW:g} s")

    def _enter(self, state: State, reason: str | None = None) -> None:
        if state is not self.state:
            self.since = datetime.now(UTC)
        self.state, self.reason = state, reason
        self._changed()

    def _say(self, text: str) -> None:
        self._said("supervisor", f"{self.stage.name} {text}")

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def _sweep(self) -> None:
        # The stage leads a session of its own, so its group is all it started and did not set free.
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
