"""The README's "Your own mail", command by command, in a fresh copy, as a new user would type it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.pipeline import ROOT, free_base
from tests.fakes.zone_server import ZoneServer
from tests.wait_for import wait_for

# What each command is there for: a part of what it prints.
SAYS = {
    "search printer": "The printer is on fire",
    "show ": "became IT-1",
    "/api/v1/send": '"status":"sent"',
    "search IT-42": "anna@example.net",
    "search 'status": "Request created",
    "suppressions list": "",
    "config check": "",
    "doctor": "console: http://127.0.0.1:",
}


def commands() -> list[str]:
    """The indented lines of the section, continuation lines joined."""
    section = (ROOT / "README.md").read_text().partition("## Your own mail")[2].partition("\n## ")[0]
    lines = re.findall(r"^    (\S.*)$", section.replace("\\\n", " "), re.MULTILINE)
    return [line.partition("  # ")[0].rstrip() for line in lines]


@pytest.fixture
def base() -> Iterator[int]:
    base = free_base()
    zones = ZoneServer({}, port=base + 153)  # nothing is in DNS: mail to others bounces, which is something to find
    yield base
    zones.stop()


def test_every_command_of_the_section_does_what_it_is_there_for(tmp_path: Path, base: int) -> None:
    ignored = shutil.ignore_patterns(".git", ".venv", "data", "__pycache__", ".*_cache", "*.egg-info")
    here = shutil.copytree(ROOT, tmp_path / "mailscope", ignore=ignored)
    (here / ".venv").symlink_to(sys.prefix)
    for name in ("requirements.lock", "pyproject.toml"):
        os.utime(here / name, (0, 0))  # what is installed is what they name
    for name in ("examples/mailscope.yaml", "examples/desk.py"):
        (here / name).write_text((here / name).read_text().replace("9000", str(base + 190)))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAILSCOPE_")}
    environ = {**kept, "MAILSCOPE_PORT_BASE": "", "MAILSCOPE_DNS__NAMESERVERS": f'["127.0.0.1:{base + 153}"]'}
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str) -> None:
        more = {"MAILSCOPE_PORT_BASE": str(base)}  # the one who starts it moves the ports; the commands find them
        with (tmp_path / "log").open("ab") as log:
            started.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec {command}"], cwd=here, env={**environ, **more}, stdout=log, stderr=log
                )
            )

    def run(command: str) -> str:
        for name, offset in ((":2525", 25), (":8025", 80)):
            command = command.replace(name, f":{base + offset}")
        done = subprocess.run(
            ["bash", "-c", command], cwd=here, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        return (
            done.stdout + done.stderr
            if done.returncode == 0
            else f"FAILED {done.returncode}: {done.stdout}{done.stderr}"
        )

    try:
        told = commands()
        assert len(told) >= 10 and all(any(part in one for one in told) for part in SAYS)
        for command in told:
            if command.startswith("make up"):
                start(command)
                console = f"http://127.0.0.1:{base + 80}"
                assert wait_for(lambda url=console: _is_ready(url), 90), (tmp_path / "log").read_text()
                assert "<code>data/admin-token</code>" in httpx.get(f"{console}/login", trust_env=False).text
            elif command.endswith("&"):
                start(command.rstrip(" &"))
            else:
                needle = next((said for part, said in SAYS.items() if part in command), "")
                _until_said(lambda one=command: run(one), needle)
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait(30)


def _is_ready(console: str) -> bool:
    try:
        return httpx.get(f"{console}/readyz", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _until_said(run: Callable[[], str], needle: str) -> None:
    """A mail takes a moment into the log."""
    answers: list[str] = []

    def says() -> bool:
        answers.append(run())
        return not answers[-1].startswith("FAILED") and needle in answers[-1]

    assert wait_for(says, 30, 0.5), answers[-1]
