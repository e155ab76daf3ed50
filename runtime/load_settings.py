"""Reading mailscope.yaml and `MAILSCOPE_...` variables. An unknown key refuses to start and names the nearest known one,
with the file and line that it stands on, or the variable.

A variable names a setting by its path: `MAILSCOPE_DELIVERY__EXPIRE=1d` is `delivery: {expire: 1d}`; its value is read as YAML.
Variables win over the file; `MAILSCOPE_PORT_BASE` wins over both for the ports. None of them hides what is wrong in the file.
"""

import copy
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from contracts.errors import ConfigurationError
from contracts.setting_types import is_embedded_kafka, parse_servers
from contracts.settings import Settings
from runtime.read_yaml import Document, KeyPath, nearest_line, read_yaml, render_path

PREFIX = "MAILSCOPE_"
OWN_VARIABLES = {
    "MAILSCOPE_CONFIG": "Path of the YAML file (default `./mailscope.yaml`, else built-in defaults).",
    "MAILSCOPE_DATA_DIR": "The setting `data_dir`.",
    "MAILSCOPE_PORT_BASE": "N moves all ports: SMTP N+25, submission N+87, console N+80, Kafka N+92, metrics from N+101.",
    "MAILSCOPE_TOKEN": "API token of the command line (default: what `admin-token` in `data_dir` holds).",
    "MAILSCOPE_INSTANCE": "Name of this process among its like, unique and stable over restarts (default: the host's name).",
}


# Without any file there is something to try: mail to example.com is taken, checked, logged, and goes no further.
BUILT_IN: dict[str, Any] = {
    "authserv_id": "mx.example.com",
    "inbound": {
        "domains": {"example.com": {"reject_on": []}},
        "routes": [{"match": {"to": "*@example.com"}, "drop": "only logged: there is no mailscope.yaml yet"}],
    },
}


@dataclass(frozen=True)
class Origin:
    """Where the values of a configuration come from; `file` is None where there is none."""

    file: Path | None
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    variables: dict[KeyPath, str] = field(default_factory=dict)  # by the path of the setting that each one sets

    def point(self, path: KeyPath, problem: str) -> str:
        """`smtp.port: ...` as `mailscope.yaml:12: smtp.port: ...`, or with the variable that sets it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.variables:
                return f"{self.variables[path[:length]]}: {problem}"
        return self.point_in_file(path, problem)

    def point_in_file(self, path: KeyPath, problem: str) -> str:
        """The same, whatever the variables set."""
        line = nearest_line(path, self.lines)
        return f"{self.file}:{line}: {problem}" if line is not None else problem

    def point_by_text(self, problem: str) -> str:
        """The same for a problem that begins with the path of its key."""
        known = [path for path in (*self.lines, *self.variables) if _begins(problem, render_path(path))]
        return self.point(max(known, key=len), problem) if known else problem


def load_settings(environ: Mapping[str, str] | None = None, path: Path | None = None) -> Settings:
    """The settings of this process. ConfigurationError names every key that is wrong, its line, and what would be right."""
    return load_with_origin(environ, path)[0]


def load_with_origin(environ: Mapping[str, str] | None = None, path: Path | None = None) -> tuple[Settings, Origin]:
    """The settings, and where each of them comes from. ConfigurationError as of `load_settings`."""
    environ = os.environ if environ is None else environ
    given = path or (Path(environ["MAILSCOPE_CONFIG"]) if environ.get("MAILSCOPE_CONFIG") else None)
    file = given or Path("mailscope.yaml")
    exists = given is not None or file.exists()
    document = read_yaml(file) if exists else Document(BUILT_IN)
    origin = Origin(file if exists else None, document.lines)
    problems = [
        f"{file}:{line}: {render_path(key)}: this key is given twice (first on line {document.lines[key]})"
        for key, line in document.repeated.items()
    ]
    _, in_file = _validate(document.values)
    # What is wrong between sections may be put right by a variable; what is wrong with a value may not be hidden by one.
    problems += [origin.point_in_file(place, text) for place, text in in_file if place]
    values = copy.deepcopy(document.values)
    problems += _apply_variables(values, environ, origin)
    problems += _read_kafka_password(values)
    settings, found = _validate(values)
    for place, text in found:
        if (place, text) not in in_file:
            problems.append(origin.point(place, text))
        elif not place:
            problems.append(origin.point_by_text(text))
    if problems or settings is None:
        where = str(file) if exists else "the environment"
        raise ConfigurationError(f"{where} cannot be used:\n" + "\n".join(f"  {line}" for line in problems))
    return settings, origin


def _read_kafka_password(values: dict[str, Any]) -> list[str]:
    """Put what `kafka.password_file` holds where librdkafka looks for it; what is wrong with the file."""
    kafka = values.get("kafka")
    file = kafka.get("password_file") if isinstance(kafka, dict) else None
    if not isinstance(file, str):
        return []
    try:
        password = Path(file).read_text("utf-8").splitlines()[0].strip()
    except (OSError, UnicodeDecodeError, IndexError) as error:
        return [
            f"kafka.password_file: {file} cannot be read: {getattr(error, 'strerror', None) or 'it has no first line'}"
        ]
    if isinstance(kafka, dict) and isinstance(kafka.setdefault("properties", {}), dict):
        kafka["properties"]["sasl.password"] = password
    return []


def port_base(environ: Mapping[str, str]) -> int | None:
    """The value of MAILSCOPE_PORT_BASE. ConfigurationError when it is no port."""
    text = environ.get("MAILSCOPE_PORT_BASE", "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535 - 199:
        raise ConfigurationError(f"MAILSCOPE_PORT_BASE: '{text}' is no port base: write a number from 1 to 65336")
    return int(text)


def _validate(values: dict[str, Any]) -> tuple[Settings | None, list[tuple[KeyPath, str]]]:
    """The settings, or what is wrong with them and where."""
    try:
        return Settings.model_validate(values), []
    except ValidationError as error:
        return None, [_explain(dict(problem)) for problem in error.errors()]


def _apply_variables(values: dict[str, Any], environ: Mapping[str, str], origin: Origin) -> list[str]:
    """Put the variables' values in, and note in `origin` what each one sets. What is wrong with the variables themselves."""
    problems = []

    def put(name: str, path: list[str], value: Any) -> None:
        _put(values, path, value)
        origin.variables[tuple(path)] = name

    if environ.get("MAILSCOPE_DATA_DIR"):
        put("MAILSCOPE_DATA_DIR", ["data_dir"], environ["MAILSCOPE_DATA_DIR"])
    known = _variable_names()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in OWN_VARIABLES:
            continue
        if name not in known:
            problems.append(f"{name}: unknown variable{_nearest(name, [*known, *OWN_VARIABLES])}")
            continue
        try:
            put(name, known[name], yaml.safe_load(environ[name]))
        except yaml.YAMLError:
            problems.append(f"{name}: '{environ[name]}' cannot be read")
    base = port_base(environ)
    if base is not None:
        ports: dict[tuple[str, str], int | str] = {
            ("smtp", "port"): base + 25,
            ("submission", "port"): base + 87,
            ("console", "port"): base + 80,
            ("metrics", "port"): base + 101,
        }
        kafka = values.get("kafka")
        bootstrap = kafka.get("bootstrap") if isinstance(kafka, dict) else None
        if not isinstance(bootstrap, str) or is_embedded_kafka(
            parse_servers(bootstrap)
        ):  # else it is nothing that listens here
            ports["kafka", "bootstrap"] = f"127.0.0.1:{base + 92}"
        for path, port in ports.items():
            put("MAILSCOPE_PORT_BASE", list(path), port)
    return problems


def _put(values: dict[str, Any], path: list[str], value: Any) -> None:
    for key in path[:-1]:
        nested = values.setdefault(key, {})
        if not isinstance(nested, dict):
            return  # the file is wrong there: its own error is told
        values = nested
    values[path[-1]] = value


def _variable_names() -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}

    def walk(model: type[BaseModel], path: list[str]) -> None:
        for name, info in model.model_fields.items():
            here = [*path, info.alias or name]
            if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                walk(info.annotation, here)
            else:
                names[PREFIX + "__".join(here).upper()] = here

    walk(Settings, [])
    return names


def _explain(problem: dict[str, Any]) -> tuple[KeyPath, str]:
    """(path of the key, what is wrong with it, beginning with that path)."""
    location = tuple(part for part in problem["loc"] if part != "[key]")
    path = render_path(location)
    if problem["type"] == "extra_forbidden":
        return location, f"{path}: unknown key{_nearest(str(location[-1]), _keys_at(Settings, list(location[:-1])))}"
    if problem["type"] == "missing":
        return location, f"{path}: this key is needed"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not path:
        return location, message
    value = problem.get("input")
    hidden = any(word in path.lower() for word in ("secret", "password", "dsn"))
    shown = f"{value!r}: " if isinstance(value, str | int | float | bool) and not hidden else ""
    return location, f"{path}: {shown}{message}"


def _keys_at(annotation: Any, path: list[Any]) -> list[str]:
    """The known keys of the section that a path leads to."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(kind for kind in get_args(annotation) if kind is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {info.alias or name: info.annotation for name, info in annotation.model_fields.items()}
        if not path:
            return list(fields)
        return _keys_at(fields.get(path[0]), path[1:])
    if get_origin(annotation) in (dict, list) and path:
        return _keys_at(get_args(annotation)[-1], path[1:])
    return []


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f" (known: {', '.join(known)})" if known and len(known) <= 30 else ""


def _begins(problem: str, path: str) -> bool:
    """Whether a problem is about this key or what is below it; case does not matter in domains."""
    return problem.lower().startswith(path.lower()) and problem[len(path) : len(path) + 1] in (":", ".", "[")
