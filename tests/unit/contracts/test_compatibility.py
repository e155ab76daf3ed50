"""The public StatusChange keeps its promise (docs/status-topics.md): who reads it today can read it tomorrow, and who reads it tomorrow
can read what stands in the topics today. The baseline is what was promised; it is never changed, a v2 would stand beside it."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"
BASELINE = json.loads((SCHEMAS / "baseline" / "status-change.v1.json").read_text())
CURRENT = json.loads((SCHEMAS / "status-change.json").read_text())
SAME = ("type", "const", "format", "pattern", "$ref", "items", "anyOf")


def broken(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What of the promise the new schema breaks."""
    found: list[str] = []
    for name, before in {"": old, **old["$defs"]}.items():
        after = new if not name else new["$defs"].get(name)
        if after is None:
            found.append(f"{name} is gone")
            continue
        found += [f"{name}: '{word}' is gone" for word in before.get("enum", ()) if word not in after.get("enum", ())]
        if set(before.get("required", ())) != set(after.get("required", ())):
            found.append(f"{name}: what is required has changed")
        for field, described in before.get("properties", {}).items():
            now = after.get("properties", {}).get(field)
            if now is None:
                found.append(f"{name}.{field} is gone")
            elif any(described.get(word) != now.get(word) for word in SAME):
                found.append(f"{name}.{field} is of another type")
    return found


def test_what_was_promised_holds() -> None:
    assert broken(BASELINE, CURRENT) == []


def _data(schema: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"]["StatusChange"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda new: _data(new)["properties"].pop("mail_id"), "StatusChange.mail_id is gone"),
        (
            lambda new: _data(new)["properties"]["attempt"].update(type="string"),
            "StatusChange.attempt is of another type",
        ),
        (lambda new: _data(new)["required"].append("recipient_name"), "what is required has changed"),
        (lambda new: _data(new)["required"].pop(), "what is required has changed"),
        (lambda new: new["$defs"]["Status"]["enum"].remove("delivered"), "Status: 'delivered' is gone"),
        (lambda new: new["$defs"].pop("Status"), "Status is gone"),
        (lambda new: new["properties"]["id"].update(format="uri"), ".id is of another type"),
    ],
)
def test_a_change_that_breaks_somebody_is_seen(change: Callable[[dict[str, Any]], object], says: str) -> None:
    new = copy.deepcopy(CURRENT)
    change(new)
    assert any(says in one for one in broken(BASELINE, new)), broken(BASELINE, new)


def test_what_is_added_breaks_nobody() -> None:
    new = copy.deepcopy(CURRENT)
    _data(new)["properties"]["added"] = {"type": "string"}
    new["$defs"]["Status"]["enum"].append("postponed")
    assert broken(BASELINE, new) == []


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.stem)
def test_no_record_refuses_a_field_it_does_not_know(path: Path) -> None:
    """Stages of two versions read one another's records while they are upgraded one after the other."""
    assert '"additionalProperties": false' not in path.read_text()
