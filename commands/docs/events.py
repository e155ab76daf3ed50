"""docs/events.md: topics, the public event and its words, for people."""

import types
from typing import Any, Union, get_args, get_origin

import msgspec

from commands.docs.schemas import EVENTS, default_topics
from contracts.events import StatusChange
from contracts.setting_types import format_duration
from contracts.statuses import ADVICE, BounceClass, BounceType, Reason, Status, is_terminal


def describe_events() -> str:
    """The document."""
    lines = ["# Events", ""]
    lines += ["## Topics", "", "| topic | key | value | retention |", "|---|---|---|---|"]
    for topic in default_topics():
        kept = [format_duration(topic.retention)] if topic.retention is not None else []
        retention = ", ".join(["compacted", *kept] if topic.compacted else kept)
        name = f"**`{topic.name}`** (public)" if topic.public else f"`{topic.name}`"
        lines.append(f"| {name} | {topic.key} | {topic.value} | {retention} |")
    lines += [
        "",
        "Values are CloudEvents 1.0 in structured JSON; `mail.raw` uses binary mode. The key is the mail_id, so the events of",
    ]
    lines += ["one mail come in order. Delivery is at least once: drop repetitions by the event's `id`.", ""]
    lines += [
        "## A status change",
        "",
        "Published on `mail.status.inbound` or `mail.status.outbound` as `mailscope.mail.<status>.v1`;",
    ]
    lines += ["schema: [status-change.json](schemas/status-change.json).", "", "| field | type |", "|---|---|"]
    lines += [f"| `{field.encode_name}` | {_type_name(field.type)} |" for field in msgspec.structs.fields(StatusChange)]
    for title, words in (
        ("Statuses", Status),
        ("Reasons", Reason),
        ("Bounce types", BounceType),
        ("Bounce classes", BounceClass),
    ):
        lines += ["", f"## {title}", ""]
        for word in words:
            note = ("" if is_terminal(word) else " (not final)") if isinstance(word, Status) else ""
            advice = f": {ADVICE[word]}" if isinstance(word, Reason) else ""
            lines.append(f"- `{word}`{note}{advice}")
    lines += ["", "## Schemas", ""]
    lines += [f"- [{name}](schemas/{name}.json): {description}" for name, (_, _, description) in EVENTS.items()]
    return "\n".join(lines) + "\n"


def _type_name(annotation: Any) -> str:
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join("null" if arg is type(None) else _type_name(arg) for arg in get_args(annotation))
    if hasattr(annotation, "__metadata__"):
        return _type_name(get_args(annotation)[0])
    return str(getattr(annotation, "__name__", annotation))
