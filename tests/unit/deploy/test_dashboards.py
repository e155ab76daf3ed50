"""A dashboard shows what is measured."""

import json
import re
from pathlib import Path

import pytest

from contracts.metrics import all_metrics

FOLDER = Path(__file__).parents[3] / "deploy/grafana/dashboards"
NAMES = {f"{metric.name}{end}" for metric in all_metrics() for end in ("", "_bucket", "_count", "_sum")}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_its_panels_use_metrics_that_exist_and_stand_beside_each_other(file: Path) -> None:
    panels = json.loads(file.read_text())["panels"]
    places = set()
    for panel in panels:
        place = panel["gridPos"]
        places.add((place["x"], place["y"]))
        assert place["x"] + place["w"] <= 24 and panel["title"]
        for target in panel["targets"]:
            named = re.findall(r"mailscope_[a-z_]+", target["expr"])
            assert named and set(named) <= NAMES, target["expr"]
            labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            for label in labels:
                assert re.search(rf"by \([^)]*\b{label}\b", target["expr"]), (
                    "a legend names a label that the sum takes away"
                )
    assert len(places) == len(panels) > 5
