"""helm/mailscope/files/: what the chart knows of the stages, and copies of the rules and dashboards, which have to lie inside of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from commands.docs.dashboards import dashboards
from contracts.settings import Settings
from contracts.stages import STAGES, Stage

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "mailscope.rules.yaml"
STORE_USERS = {"clickhouse": "writer", "console": "reader"}
# Where a stage connects to besides DNS, Kafka, the blob store and ClickHouse: mail servers and their MTA-STS policies, mailboxes and
# their OAuth servers, the provider of log-ins. The webhooks of handlers and subscriptions may be anywhere.
EGRESS = {"delivery": [25, 443, 465, 587], "mailboxes": [143, 443, 993], "console": [443]}


def chart_files(generated: str) -> Iterator[tuple[str, str]]:
    """(name, text) of every file that the chart has from elsewhere."""
    table = yaml.safe_dump({"stages": [_row(stage) for stage in STAGES]}, sort_keys=False, width=140)
    yield "stages.yaml", f"# {generated}\n{table}"
    yield "mailscope.rules.yaml", RULES.read_text("utf-8")
    for name, text in dashboards().items():
        yield f"dashboards/{name}", text


def _row(stage: Stage) -> dict[str, Any]:
    settings = Settings()
    health = settings.console.port if stage.health_offset is None else settings.metrics.port
    ports = {"smtp": settings.smtp.port, "submission": settings.submission.port}
    return {
        "name": stage.name,
        "command": [*stage.command, *([] if stage.health_offset is None else ["--health-port", "0"])],
        # Who has partitions keeps its name over a restart (KIP-345); of the others one is as good as another.
        "workload": "StatefulSet" if stage.groups else "Deployment",
        "health": health,
        "ports": [{"name": stage.name, "port": ports[stage.name]}] if stage.name in ports else [],
        "store": STORE_USERS.get(stage.name, ""),
        "egress": EGRESS.get(stage.name, []),
        # What waits in retry topics waits on purpose.
        # Of groups that the settings name, the chart knows none.
        "lag": [
            {"group": group.name, "topic": one}
            for group in stage.groups
            for one in group.topics
            if "*" not in one and "*" not in group.name
        ],
    }
