"""The alert rules name metrics that exist and sections of the runbook that are there, and Prometheus fires them when it should."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from contracts.metrics import all_metrics

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/prometheus"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "mailscope.rules.yaml").read_text())["groups"] for rule in group["rules"]
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_what_is_measured_and_leads_to_what_to_do(rule: dict) -> None:
    named = re.findall(r"mailscope_[a-z_]+", rule["expr"])
    assert set(named) <= {metric.name for metric in all_metrics()} and (named or rule["expr"].startswith("up{"))
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    (heading,) = [one for one in headings if one.lower().replace(" ", "-") == anchor]
    section = (ROOT / page).read_text().partition(f"\n## {heading}\n")[2].strip("\n")
    assert section.startswith("    mailscope "), "at night a command comes first"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (apt-get install prometheus)")
def test_prometheus_fires_each_rule_when_it_should() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", "mailscope.tests.yaml"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tested = (FOLDER / "mailscope.tests.yaml").read_text()
    assert all(rule["alert"] in tested for rule in RULES)
