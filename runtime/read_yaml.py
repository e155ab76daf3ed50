"""Read a YAML file and remember the line of each of its keys, so that an error can say where to look."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import ConfigurationError

KeyPath = tuple[str | int, ...]  # ("inbound", "routes", 0, "forward")
MERGE = "tag:yaml.org,2002:merge"  # <<: *defaults


@dataclass(frozen=True)
class Document:
    """What a file says: its values, the line of each key and of each item of a list, and the keys that are given twice."""

    values: dict[str, Any]
    lines: dict[KeyPath, int] = field(default_factory=dict)
    repeated: dict[KeyPath, int] = field(default_factory=dict)


def read_yaml(file: Path) -> Document:
    """The document in a file. ConfigurationError when there is none, with the line where one can be named."""
    try:
        octets = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    try:
        text = octets.decode("utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        values = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}:{line}: this is not YAML: it is not UTF-8") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigurationError(f"{file}:{line}: this is not YAML: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError(_explain(file, error)) from error
    if root is None or values is None:
        return Document({})
    if not isinstance(values, dict):
        line = root.start_mark.line + 1
        raise ConfigurationError(
            f"{file}:{line}: this must hold keys and values, such as `authserv_id: mx.example.com`"
        )
    document = Document(values)
    _walk(root, (), document, frozenset())
    return document


def render_path(path: KeyPath) -> str:
    """`inbound.routes[0].forward`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def nearest_line(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """The line of a key; where it is missing, that of the section that should hold it."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _explain(file: Path, error: yaml.MarkedYAMLError) -> str:
    """Where reading stopped, and where that began: the line to repair is one of the two."""
    began, mark = error.context_mark, error.problem_mark or error.context_mark
    since = (
        f", {error.context} that begins on line {began.line + 1}" if began and mark and began.line < mark.line else ""
    )
    where = f"{file}:{mark.line + 1}" if mark else str(file)
    return f"{where}: this is not YAML: {error.problem or error.context}{since}"


def _walk(node: yaml.Node, path: KeyPath, document: Document, within: frozenset[int]) -> None:
    """Note the lines of everything below a node. What a merge brings in (`<<`) counts where nothing else is said."""
    if id(node) in within:
        return  # an anchor that holds itself
    within |= {id(node)}
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            document.lines.setdefault((*path, number), item.start_mark.line + 1)
            _walk(item, (*path, number), document, within)
    elif isinstance(node, yaml.MappingNode):
        own = [(key, value) for key, value in node.value if key.tag != MERGE]
        seen: set[KeyPath] = set()
        for key, value in own:
            here, line = (*path, str(key.value)), key.start_mark.line + 1
            if here in seen:
                document.repeated[here] = line
            seen.add(here)
            document.lines.setdefault(here, line)
            _walk(value, here, document, within)
        for key, value in node.value:
            if key.tag == MERGE:
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    _walk(merged, path, document, within)
