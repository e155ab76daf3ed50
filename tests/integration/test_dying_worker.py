"""A record that kills its process is put aside after some deaths, and its neighbours are done."""

import os
import subprocess
import sys
from pathlib import Path

from runtime.suspect_records import DEATHS

ROOT = Path(__file__).resolve().parents[2]


def test_a_record_that_kills_the_process_is_put_aside_and_its_neighbours_are_not(tmp_path: Path) -> None:
    done = tmp_path / "done"
    argv = [sys.executable, "-m", "tests.integration.dying_worker", str(tmp_path / "journal"), str(done)]
    deaths = 0
    while subprocess.run(argv, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True).returncode:
        deaths += 1
        assert deaths < 20, "it dies for ever"
    lines = done.read_text().splitlines()
    assert deaths == DEATHS
    assert lines.count("mail.deadletter 5") == 1 and lines.count("failed 5") == 1
    assert {f"done {offset}" for offset in range(8) if offset != 5} <= set(lines)
    assert not any(line.startswith(("mail.deadletter", "failed")) and not line.endswith(" 5") for line in lines)
