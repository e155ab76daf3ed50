"""A process says of itself what it can know, and nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import metrics
from contracts.stages import STAGES

ROOT = Path(__file__).resolve().parents[3]
# Where the code of each stage counts; what several share counts for each of them.
ROOMS = {
    "smtp": ["ingest/smtp"],
    "mailboxes": ["ingest/mailboxes"],
    "submission": ["ingest/smtp", "ingest/send"],
    "console": ["console", "ingest/send"],
    "inbound": ["processors"],
    "outbound": ["processors"],
    "outcomes": ["processors"],
    "delivery": ["sinks/delivery", "sinks/dispatch"],
    "handlers": ["sinks/handlers", "sinks/dispatch"],
    "subscriptions": ["sinks/subscriptions"],
    "clickhouse": ["sinks/clickhouse"],
}


def exposed(*stages: str) -> str:
    code = "import sys; from runtime.expose_metrics import expose; from prometheus_client import generate_latest\n"
    code += "[expose(*stages.split()) for stages in sys.argv[1:]]; print(generate_latest().decode())"
    return subprocess.run(
        [sys.executable, "-c", code, *stages], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def test_a_process_does_not_say_0_of_what_it_has_not() -> None:
    """`verdict_waiting 0` on a process that is no receiver is an incident by the runbook."""
    said = exposed("outcomes")
    assert "mailscope_processors_lag_records" in said
    assert "mailscope_ingest" not in said and "complete_until" not in said and "mailscope_delivery" not in said


def test_the_process_of_two_stages_says_what_both_say() -> None:
    said = exposed("console clickhouse")
    assert "mailscope_console_query_seconds" in said and "mailscope_clickhouse_complete_until_seconds" in said


def test_stages_may_be_exposed_one_after_another() -> None:
    """Metrics that both have are there once."""
    ours = [
        sorted(line for line in said.splitlines() if line.startswith("# TYPE mailscope_"))
        for said in (exposed("console", "inbound", "console inbound"), exposed("console inbound"))
    ]
    assert ours[0] == ours[1]


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_what_a_stage_counts_is_exposed_by_it(stage: str) -> None:
    declared = {name for name, one in vars(metrics).items() if isinstance(one, metrics.Metric) and stage in one.stages}
    shared = {path for rooms in ROOMS.values() for path in rooms if sum(path in other for other in ROOMS.values()) > 1}
    for room in ROOMS[stage]:
        for path in (ROOT / room).rglob("*.py"):
            used = {
                node.attr
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "metrics"
            }
            used = {name for name in used if name.isupper()}
            if room in shared and not used & declared:
                continue
            owners = {owner for owner, rooms in ROOMS.items() if room in rooms}
            for name in used:
                assert owners & set(getattr(metrics, name).stages), (
                    f"{path.name} counts {name}, which {owners} do not have"
                )


def test_every_metric_is_counted_somewhere() -> None:
    rooms = ("ingest", "processors", "sinks", "console", "runtime")
    text = "".join(path.read_text() for room in rooms for path in (ROOT / room).rglob("*.py"))
    for name, one in vars(metrics).items():
        if isinstance(one, metrics.Metric):
            assert f"metrics.{name}" in text, f"{one.name} is declared and never counted"
