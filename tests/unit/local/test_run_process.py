"""A process that the system refuses to start is tried again; the supervisor is not ended by it."""

import asyncio
import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from local.process import Process, State
from local.run_files import RunFiles
from local.run_process import ProcessRunner


async def test_without_processes_left_it_tries_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refused = asyncio.create_subprocess_exec, 2

    async def start(*words: Any, **options: Any) -> asyncio.subprocess.Process:
        nonlocal refused
        if refused:
            refused -= 1
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return await real(*words, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    said: list[str] = []
    runner = ProcessRunner(
        Process("one", [sys.executable, "-c", "print('made')"], once=True),
        tmp_path,
        RunFiles(said.append),
        lambda name, line: said.append(f"{name} {line}"),
        lambda: None,
    )
    await asyncio.wait_for(runner.run(), 20)
    assert runner.state is State.DONE and runner.restarts == 2 and said[-1] == "one made"
    assert said.count(f"supervisor one cannot be started: {os.strerror(errno.EAGAIN)}") == 2
