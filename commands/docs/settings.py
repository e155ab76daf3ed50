"""docs/settings.md: every variable and every setting."""

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from contracts.setting_types import format_duration
from contracts.settings import Settings
from runtime.load_settings import OWN_VARIABLES, PREFIX


def describe_settings() -> str:
    """The document."""
    lines = ["# Settings", ""]
    lines += [
        "One YAML file and environment variables; an unknown key refuses to start. `mailscope config check` reads them.",
        "",
    ]
    lines += [
        "| variable | meaning |",
        "|---|---|",
        *[f"| `{name}` | {text} |" for name, text in OWN_VARIABLES.items()],
    ]
    lines += ["", f"Every setting below without `<...>` or `[]` is also a variable: `{PREFIX}DELIVERY__EXPIRE=1d`.", ""]
    lines += ["| setting | default | meaning |", "|---|---|---|"]
    lines += [f"| `{path}` | {default} | {text} |" for path, default, text in every_setting(Settings)]
    return "\n".join(lines) + "\n"


def every_setting(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, default, meaning) of every setting that has a value of its own."""
    for name, info in model.model_fields.items():
        path = f"{prefix}{info.alias or name}"
        section, suffix = _section(info.annotation)
        if info.description:
            yield path, _default(info), info.description
        if section is not None:
            yield from every_setting(section, f"{path}{suffix}.")


def _section(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    if get_origin(annotation) in (dict, list):
        inner = get_args(annotation)[-1]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner, ".<name>" if get_origin(annotation) is dict else "[]"
    return None, ""


def _default(info: Any) -> str:
    if info.is_required():
        return "needed"
    value = info.default
    if value is None or value == "":
        return ""
    if hasattr(value, "total_seconds"):
        return f"`{format_duration(value)}`"
    if isinstance(value, list):
        shown = [format_duration(one) if hasattr(one, "total_seconds") else str(one) for one in value]
        return f"`[{', '.join(shown)}]`"
    if isinstance(value, int) and not isinstance(value, bool) and value and value % 1024 == 0:
        return f"`{value >> 20}MiB`" if value % (1 << 20) == 0 else f"`{value >> 10}KiB`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
