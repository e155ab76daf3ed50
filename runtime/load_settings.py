"""Reading mailscope.yaml and `MAILSCOPE_...` variables. An unknown key refuses to start and names the nearest known one.

A variable names a setting by its path: `MAILSCOPE_DELIVERY__EXPIRE=1d` is `delivery: {expire: 1d}`; its value is read as YAML.
Variables win over the file; `MAILSCOPE_PORT_BASE` wins over both for the ports.
"""

import copy
import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from contracts.errors import ConfigurationError
from contracts.settings import Settings

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


def load_settings(environ: Mapping[str, str] | None = None, path: Path | None = None) -> Settings:
    """The settings of this process. ConfigurationError names every key that is wrong and what would be right."""
    environ = os.environ if environ is None else environ
    given = path or (Path(environ["MAILSCOPE_CONFIG"]) if environ.get("MAILSCOPE_CONFIG") else None)
    file = given or Path("mailscope.yaml")
    values = _read_yaml(file) if given is not None or file.exists() else copy.deepcopy(BUILT_IN)
    problems = _apply_variables(values, environ)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_explain(dict(problem)) for problem in error.errors()]
        settings = None
    if problems or settings is None:
        where = str(file) if given is not None or file.exists() else "the environment"
        raise ConfigurationError(f"{where} cannot be used:\n" + "\n".join(f"  {line}" for line in problems))
    return settings


def port_base(environ: Mapping[str, str]) -> int | None:
    """The value of MAILSCOPE_PORT_BASE. ConfigurationError when it is no port."""
    text = environ.get("MAILSCOPE_PORT_BASE", "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535 - 199:
        raise ConfigurationError(f"MAILSCOPE_PORT_BASE: '{text}' is no port base: write a number from 1 to 65336")
    return int(text)


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is not YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{file} must hold keys and values, such as `authserv_id: mx.example.com`")
    return values


def _apply_variables(values: dict[str, Any], environ: Mapping[str, str]) -> list[str]:
    problems = []
    if environ.get("MAILSCOPE_DATA_DIR"):
        values["data_dir"] = environ["MAILSCOPE_DATA_DIR"]
    known = _variable_names()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in OWN_VARIABLES:
            continue
        if name not in known:
            problems.append(f"{name}: unknown variable{_nearest(name, [*known, *OWN_VARIABLES])}")
            continue
        try:
            _put(values, known[name], yaml.safe_load(environ[name]))
        except yaml.YAMLError:
            problems.append(f"{name}: '{environ[name]}' cannot be read")
    base = port_base(environ)
    if base is not None:
        for path, port in {
            ("smtp", "port"): base + 25,
            ("console", "port"): base + 80,
            ("kafka", "bootstrap"): f"127.0.0.1:{base + 92}",
            ("metrics", "port"): base + 101,
        }.items():
            _put(values, list(path), port)
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


def _explain(problem: dict[str, Any]) -> str:
    location = [part for part in problem["loc"] if part != "[key]"]
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    if problem["type"] == "extra_forbidden":
        return f"{path}: unknown key{_nearest(str(location[-1]), _keys_at(Settings, location[:-1]))}"
    if problem["type"] == "missing":
        return f"{path}: this key is needed"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not path:
        return message
    value = problem.get("input")
    hidden = any(word in path.lower() for word in ("secret", "password", "dsn"))
    shown = f"{value!r}: " if isinstance(value, str | int | float | bool) and not hidden else ""
    return f"{path}: {shown}{message}"


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
