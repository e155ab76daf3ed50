"""The house: which room may look into which, and names that say something."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("contracts", "mail", "runtime", "ingest", "processors", "sinks", "console", "commands", "local")
BASE = {"contracts", "mail", "runtime"}
ALLOWED = {
    "contracts": {"contracts", "runtime"},
    "mail": {"contracts", "mail", "runtime"},
    "runtime": {"contracts", "runtime", "mail"},
    "ingest": BASE | {"ingest"},
    "processors": BASE | {"processors"},
    "sinks": BASE | {"sinks"},
    "console": BASE | {"console"},
    "commands": set(ROOMS),
    "local": set(ROOMS),
}
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_no_room_on_its_right(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                other = name.partition(".")[0]
                assert other not in ROOMS or other in ALLOWED[room], f"{path.relative_to(ROOT)} imports {name}"


def test_files_are_short_and_named_by_what_they_do() -> None:
    assert len(FILES) > 100
    for path in [*FILES, ROOT / "mailscope.py"]:
        assert path.stem not in {"utils", "util", "common", "helpers", "helper", "manager", "misc"}, path
        assert len(path.read_text().splitlines()) <= 600, path
