"""The house: which room may look into which, and names that say something."""

import ast
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from contracts import topics
from contracts.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("contracts", "mail", "runtime", "ingest", "processors", "sinks", "console", "commands", "local")
BASE = {"contracts", "mail", "runtime"}
ALLOWED = {
    "contracts": {"contracts"},
    "mail": {"contracts", "mail"},
    "runtime": {"contracts", "runtime"},
    "ingest": BASE | {"ingest"},
    "processors": BASE | {"processors"},
    "sinks": BASE | {"sinks"},
    "console": BASE | {"console"},
    "commands": set(ROOMS),
    "local": set(ROOMS),
}
# `contracts` is a language: whoever speaks it needs no client, no socket and no event loop.
WITHOUT_IO = {
    "aiohttp aiokafka aiosmtpd aiosmtplib asyncio chdb clickhouse_connect confluent_kafka dns dnslib faust fastapi http httpx",
    "imaplib jinja2 mode obstore prometheus_client selectors smtplib socket sqlite3 ssl starlette subprocess urllib uvicorn uvloop yaml",
}
SETTINGS_OF_MAIL = {"contracts.settings", "contracts.metrics", "contracts.topics", "contracts.stages"}
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imported(path: Path) -> list[str]:
    """The modules that a file imports, by their full names."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_no_room_on_its_right(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        for name in imported(path):
            other = name.partition(".")[0]
            assert other not in ROOMS or other in ALLOWED[room], f"{path.relative_to(ROOT)} imports {name}"


def test_the_language_of_the_stages_needs_no_client() -> None:
    forbidden = {name for line in WITHOUT_IO for name in line.split()}
    for path in (ROOT / "contracts").rglob("*.py"):
        found = {name.partition(".")[0] for name in imported(path)} & forbidden
        assert not found, f"{path.relative_to(ROOT)} imports {found}"


def test_mail_knows_neither_settings_nor_topics() -> None:
    for path in (ROOT / "mail").rglob("*.py"):
        found = set(imported(path)) & SETTINGS_OF_MAIL
        assert not found, f"{path.relative_to(ROOT)} imports {found}"


def test_imports_go_in_no_circle() -> None:
    """Between files, and also between the stages' rooms: a drawing of the house has no arrow that comes back."""
    known = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}
    arrows = {module: {name for name in imported(path) if name in known} - {module} for module, path in known.items()}
    for module in list(_in_order(arrows)):
        arrows.pop(module)
    assert not arrows, f"these import each other: {sorted(arrows)}"


def _in_order(arrows: dict[str, set[str]]) -> Iterator[str]:
    left = dict(arrows)
    while free := [module for module, others in left.items() if not others & set(left)]:
        for module in free:
            left.pop(module)
            yield module


def test_kafka_clients_are_made_in_one_place() -> None:
    for path in [*FILES, ROOT / "mailscope.py"]:
        if path.name != "connect_kafka.py":
            made = re.findall(r"\b(Consumer|Producer|AdminClient|AIOProducer|AIOConsumer)\(", path.read_text())
            assert not made, f"{path.relative_to(ROOT)} makes a {made[0]}: use runtime/connect_kafka.py"


def test_groups_and_topics_are_those_of_the_table() -> None:
    """A consumer group or a topic that contracts/stages.py and contracts/topics.py do not know."""
    groups = {group.name for stage in STAGES for group in stage.groups}
    declared = {topic.name for topic in topics.all_topics(["1m"], timedelta(days=1), timedelta(days=1))}
    for path in FILES:
        if path.parent.name == "demo":
            continue
        text = path.read_text()
        for name in re.findall(r"[\"']mailscope-(?:inbound|outcomes|delivery|handlers|clickhouse)[\w-]*[\"']", text):
            assert path.name == "stages.py" and name.strip("\"'") in groups, f"{path.relative_to(ROOT)}: {name}"
        if path.name != "topics.py":
            for name in re.findall(r"^[^#\n]*[\"'](mail\.[a-z.]+)[\"']", text, re.MULTILINE):
                assert name not in declared, (
                    f"{path.relative_to(ROOT)} spells {name}: it has a name in contracts/topics.py"
                )


def test_a_stage_uses_the_topics_that_the_table_says() -> None:
    """What the code of a room names is what its stages read or write."""
    for room in ("ingest", "processors", "sinks"):
        table = {
            topic
            for stage in STAGES
            if stage.command[0] == room or stage.name == "console"
            for topic in (*stage.reads, *stage.writes)
        }
        for path in (ROOT / room).rglob("*.py"):
            for name in re.findall(r"\btopics\.([A-Z_]+)\b", path.read_text()):
                topic = getattr(topics, name)
                assert topic in table, (
                    f"{path.relative_to(ROOT)} uses {topic}, and no stage of {room}/ does by the table"
                )


def test_files_are_short_and_named_by_what_they_do() -> None:
    assert len(FILES) > 100
    for path in [*FILES, ROOT / "mailscope.py"]:
        assert path.stem not in {"utils", "util", "common", "helpers", "helper", "manager", "misc"}, path
        assert len(path.read_text().splitlines()) <= 600, path
