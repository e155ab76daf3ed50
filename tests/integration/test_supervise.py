"""Real processes under the real supervisor: restarted when they die, ended in order, none ever left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

POLITE = "import signal,sys,time; signal.signal(15, lambda *a: (print('bye', flush=True), sys.exit(0)))\n"
SLEEPER = POLITE + "print('hello', flush=True)\nwhile True: time.sleep(0.05)"
STUBBORN = (
    "import signal,time; signal.signal(15, signal.SIG_IGN); print('no', flush=True)\nwhile True: time.sleep(0.05)"
)

Start = Callable[..., "Running"]


class Running:
    """A supervisor in a process of its own, as `mailscope up` is."""

    def __init__(self, data: Path, stages: Sequence[dict[str, object]] = (), code: str = "") -> None:
        self.data = data
        code = (
            code
            or f"""
import asyncio, pathlib, sys
from local.process import Process
from local.supervise import Supervisor
from local.lock_data import DataInUse
stages = [Process(s.pop("name"), [sys.executable, "-c", s.pop("code")], **s) for s in {list(stages)!r}]
try:
    sys.exit(asyncio.run(Supervisor(stages, pathlib.Path({str(data)!r}), on_ready=lambda s: "WELCOME").run()))
except DataInUse as error:
    sys.exit(str(error))
"""
        )
        self.output = data.with_suffix(".out")
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def text(self) -> str:
        return self.output.read_text()

    def wait_for(self, words: str, times: int = 1, timeout: float = 15.0) -> None:
        deadline = time.monotonic() + timeout
        while self.text().count(words) < times:
            assert time.monotonic() < deadline, f"{words!r} not said {times} times:\n{self.text()}"
            time.sleep(0.02)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def pid(self, stage: str) -> int:
        return int((self.data / "run" / f"{stage}.pid").read_text())

    def stages(self) -> dict[str, dict[str, object]]:
        stages: dict[str, dict[str, object]] = json.loads((self.data / "run" / "stages.json").read_text())["stages"]
        return stages

    def ctrl_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[Running] = []

    def start(*stages: dict[str, object]) -> Running:
        running.append(Running(tmp_path / "data", list(stages)))
        return running[-1]

    yield start
    for each in running:
        each.process.kill()
        each.process.wait()


def still_there(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(processes, timeout=3)
    return alive


def test_all_up_is_said_once_and_pids_are_found(start: Start) -> None:
    up = start({"name": "one", "code": SLEEPER}, {"name": "two", "code": SLEEPER, "after": ("one",)})
    up.wait_for("WELCOME")
    assert {up.pid("one"), up.pid("two")} == {child.pid for child in up.children()}
    assert {name: stage["state"] for name, stage in up.stages().items()} == {"one": "ready", "two": "ready"}


def test_a_killed_stage_is_started_again(start: Start) -> None:
    up = start({"name": "one", "code": SLEEPER})
    up.wait_for("hello")
    up.wait_for("WELCOME")
    first = up.pid("one")
    os.kill(first, signal.SIGKILL)
    up.wait_for("hello", times=2)
    up.wait_for("one was killed by SIGKILL")
    assert up.pid("one") != first
    assert up.stages()["one"]["restarts"] == 1
    assert up.text().count("WELCOME") == 1


def test_a_stage_that_keeps_ending_is_tried_more_and_more_slowly_and_that_is_said(start: Start) -> None:
    up = start({"name": "broken", "code": "import sys; print('trying'); sys.exit('no such table')"})
    up.wait_for("trying", times=4)
    for pause in ("0.2", "0.4", "0.8"):
        up.wait_for(f"starting it again in {pause} s")
    up.wait_for("broken keeps ending")
    assert "no such table" in up.text()


def test_a_program_that_does_not_exist_is_named(start: Start) -> None:
    up = start({"name": "odd", "code": "import os; os.execvp('/no/such/program', ['x'])"})
    up.wait_for("No such file or directory")


def test_a_stage_waits_for_the_one_it_needs(start: Start, free_port: Callable[[], int]) -> None:
    port = free_port()
    server = f"import socket; time.sleep(0.7); s = socket.create_server(('127.0.0.1', {port}))\n"
    client = f"import socket; socket.create_connection(('127.0.0.1', {port})); print('served')\n"
    up = start(
        {"name": "needy", "code": client + SLEEPER, "after": ("server",)},
        {"name": "server", "code": POLITE + server + SLEEPER, "ready": f"tcp://127.0.0.1:{port}"},
    )
    up.wait_for("WELCOME")
    up.wait_for("served")
    assert up.stages()["needy"]["restarts"] == 0


def test_a_step_that_runs_once_is_not_started_again(start: Start) -> None:
    up = start(
        {"name": "step", "code": "print('made')", "once": True}, {"name": "one", "code": SLEEPER, "after": ("step",)}
    )
    up.wait_for("WELCOME")
    time.sleep(0.5)
    assert up.text().count("made") == 1
    assert up.stages()["step"]["state"] == "done"


def test_a_stage_that_is_not_ready_in_time_is_named_with_the_reason(start: Start, free_port: Callable[[], int]) -> None:
    url = f"http://127.0.0.1:{free_port()}/readyz"
    up = start({"name": "slow", "code": SLEEPER, "ready": url, "ready_within": 0.5})
    up.wait_for(f"slow is not ready after 0.5 s: {url} does not answer")
    assert "WELCOME" not in up.text()


def test_ctrl_c_ends_all_in_order_and_leaves_nothing(start: Start) -> None:
    up = start(
        {"name": "broker", "code": SLEEPER, "stop_order": 9},
        {"name": "receiver", "code": SLEEPER, "stop_order": 0},
        {"name": "worker", "code": SLEEPER, "stop_order": 1},
    )
    up.wait_for("hello", times=3)
    children = up.children()
    assert len(children) == 3
    up.ctrl_c()
    assert up.process.wait(9) == 0
    assert not still_there(children)
    byes = [line.split()[1] for line in up.text().splitlines() if line.endswith("bye")]
    assert byes == ["receiver", "worker", "broker"]
    assert not list((up.data / "run").glob("*.pid"))


def test_what_does_not_end_is_killed_and_the_broker_still_ends_in_order(start: Start) -> None:
    up = start({"name": "mule", "code": STUBBORN}, {"name": "broker", "code": SLEEPER, "stop_order": 9})
    up.wait_for("hello")
    up.wait_for("no\n")
    children, begun = up.children(), time.monotonic()
    up.ctrl_c()
    assert up.process.wait(60) == 1
    assert time.monotonic() - begun > 5
    assert not still_there(children)
    assert "mule did not end in time and was killed" in up.text()
    assert "bye" in up.text()


def test_a_second_ctrl_c_ends_at_once(start: Start) -> None:
    up = start({"name": "mule", "code": STUBBORN}, {"name": "broker", "code": STUBBORN, "stop_order": 9})
    up.wait_for("no\n", times=2)
    children = up.children()
    up.ctrl_c()
    up.wait_for("stopping")
    time.sleep(0.7)
    begun = time.monotonic()
    up.ctrl_c()
    up.process.wait(9)
    assert time.monotonic() - begun < 5  # the first one would have left it more than 6 s
    assert not still_there(children)


def test_one_ctrl_c_that_arrives_twice_is_one(start: Start) -> None:
    up = start({"name": "slow", "code": SLEEPER.replace("print('bye'", "time.sleep(1), print('bye'")})
    up.wait_for("hello")
    up.ctrl_c()
    up.wait_for("stopping")
    up.ctrl_c()
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(9) == 0
    assert "bye" in up.text()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_a_killed_supervisor_leaves_nothing(start: Start) -> None:
    up = start({"name": "mule", "code": STUBBORN}, {"name": "one", "code": SLEEPER})
    up.wait_for("no\n")
    up.wait_for("hello")
    children = up.children()
    assert len(children) == 2
    up.process.kill()
    up.process.wait()
    assert not still_there(children)


def test_what_a_dead_stage_had_started_is_ended_too(start: Start) -> None:
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STUBBORN!r}])\n{SLEEPER}"
    up = start({"name": "parent", "code": code})
    up.wait_for("no\n")
    up.wait_for("hello")
    heirs = psutil.Process(up.pid("parent")).children()
    os.kill(up.pid("parent"), signal.SIGKILL)
    up.wait_for("hello", times=2)
    assert len(heirs) == 1 and not still_there(heirs)
    up.wait_for("no\n", times=2)
    heirs = psutil.Process(up.pid("parent")).children()
    up.ctrl_c()
    up.process.wait(9)
    assert len(heirs) == 1 and not still_there(heirs)


def test_a_second_pipeline_on_the_same_data_is_refused_in_words(start: Start) -> None:
    first = start({"name": "one", "code": SLEEPER})
    first.wait_for("WELCOME")
    second = start({"name": "one", "code": SLEEPER})
    assert second.process.wait(10) == 1
    assert f"another Mailscope (process {first.process.pid}) is running on" in second.text()
    assert psutil.pid_exists(first.pid("one"))
    first.ctrl_c()
    first.process.wait(9)
    third = start({"name": "one", "code": SLEEPER})
    third.wait_for("WELCOME", times=2)


def test_a_stage_that_floods_its_output_is_heard_to_the_last_line(start: Start) -> None:
    up = start({"name": "loud", "code": "for i in range(20000): print('line', i)", "once": True})
    up.wait_for("WELCOME")
    assert up.text().count(" line ") == 20000


def test_the_real_broker_comes_back_after_a_kill_and_ends_in_time(tmp_path: Path, free_port: Callable[[], int]) -> None:
    code = f"""
import asyncio, pathlib, sys
from local.configure_kafka import Broker
from local.run_kafka import process
from local.supervise import Supervisor
broker = Broker(pathlib.Path({str(tmp_path / "kafka")!r}), {free_port()}, {free_port()})
sys.exit(asyncio.run(Supervisor([process(broker, stop_order=9)], pathlib.Path({str(tmp_path / "data")!r})).run()))
"""
    up = Running(tmp_path / "data", code=code)
    try:
        up.wait_for("all 1 stages are up", timeout=30)
        first = up.pid("kafka")
        os.kill(first, signal.SIGKILL)
        up.wait_for("kafka was killed by SIGKILL")
        deadline = time.monotonic() + 20
        while up.stages()["kafka"]["state"] != "ready" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert up.stages()["kafka"]["state"] == "ready" and up.pid("kafka") != first
        children = up.children()
        up.ctrl_c()
        assert up.process.wait(9) == 0
        assert not still_there(children)
    finally:
        up.process.kill()
        up.process.wait()
