"""docs/openapi.json and docs/api.md: the API, for machines and for people.

The routes are those of the application that is served; its store, its Kafka and its tokens are not needed to say what they are."""

from collections.abc import Iterator
from typing import Any, cast

from fastapi import FastAPI

from console.authorise import authorised
from console.describe_api import describe_api as whole_openapi
from console.serve_console import create_app
from console.serve_erasures import erasures_router
from console.serve_lists import list_routers
from console.serve_tokens import tokens_router
from contracts.settings import Settings
from ingest.attempts.attempts_http import attempts_router
from ingest.attempts.record_attempts import AttemptRecorder
from ingest.send.claim_keys import IdempotencyKeys
from ingest.send.send import Sender
from ingest.send.send_http import send_router

Schema = dict[str, Any]


def documented_app() -> FastAPI:
    """The console's application with the routers of other stages, as `mailscope console` puts it together; it can be asked what
    it serves, and serves nothing."""
    settings = Settings.model_validate({"data_dir": "/nowhere", "blobs": {"url": "memory:///"}})
    nobody = cast(Any, None)
    routers = [
        erasures_router(nobody),
        tokens_router(nobody, nobody, nobody, nobody),
        send_router(cast(Sender, None), cast(IdempotencyKeys, None), authorised("send")),
        attempts_router(cast(AttemptRecorder, None), authorised("send"), settings.store.retention),
        *list_routers(settings, nobody, nobody, nobody, nobody, nobody),
    ]
    return create_app(settings, nobody, nobody, nobody, nobody, nobody, routers=routers)


def openapi() -> Schema:
    """The OpenAPI document."""
    return whole_openapi(documented_app())


def describe_api() -> str:
    """The same for people."""
    document = openapi()
    lines = [
        "# API",
        "",
        "Served by the console, with the machine-readable form at `/openapi.json` ([here](openapi.json)). Every call carries",
        "`Authorization: Bearer TOKEN`. Times are RFC 3339 in UTC. Every error has one shape, whatever its status:",
        '`{"error": {"code": "...", "message": "...", "field": "..."}}`.',
    ]
    for method, path, operation in every_operation(document):
        lines += ["", f"## {method} {path}", "", f"{operation.get('summary', '')}."]
        if operation.get("description"):
            lines += ["", str(operation["description"])]
        lines += _parameters(operation)
        lines += _body(operation, document)
        lines += _answers(operation, document)
    return "\n".join(lines) + "\n"


def every_operation(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    """(method, path, operation) of everything that is served, by path."""
    for path, methods in sorted(document["paths"].items()):
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _parameters(operation: Schema) -> list[str]:
    rows = [
        f"| `{one['name']}` | {one['in']} | {_type(one['schema'])} | {_default(one)} | {_meaning(one)} |"
        for one in operation.get("parameters", [])
    ]
    return ["", "| parameter | in | type | default | meaning |", "|---|---|---|---|---|", *rows] if rows else []


def _body(operation: Schema, document: Schema) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {})
    lines: list[str] = []
    for media, body in content.items():
        lines += ["", f"Body (`{media}`): {_type(body['schema'])}.", *_fields(body["schema"], document)]
    return lines


def _fields(schema: Schema, document: Schema) -> list[str]:
    """A table of the fields of an object, and then of the objects in it."""
    tables: list[str] = []
    waiting, seen = _named(schema), set()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        found = document["components"]["schemas"][name]
        needed = set(found.get("required", []))
        tables += ["", f"| `{name}` | type | default | meaning |", "|---|---|---|---|"]
        for field, inner in found.get("properties", {}).items():
            entry = {"required": field in needed, "schema": inner, "description": inner.get("description", "")}
            tables.append(f"| `{field}` | {_type(inner)} | {_default(entry)} | {_meaning(entry)} |")
            waiting += _named(inner)
    return tables


def _answers(operation: Schema, document: Schema) -> list[str]:
    lines: list[str] = []
    for status, answer in operation["responses"].items():
        if not status.startswith("2"):
            continue  # the one shape of an error, told once
        media = ", ".join(f"`{kind}`" for kind in answer.get("content", {}))
        lines += ["", f"Answer {status}{': ' + media if media else ''}."]
        for body in answer.get("content", {}).values():
            lines += _fields(body.get("schema", {}), document)
    return lines


def _named(schema: Schema) -> list[str]:
    """The names of the components that a schema refers to."""
    if "$ref" in schema:
        return [schema["$ref"].rpartition("/")[2]]
    inner = [*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]
    return [name for one in inner for name in _named(one)]


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = str(schema.get("type", "any"))
    bounds = [f"{sign} {schema[key]}" for key, sign in (("minimum", "≥"), ("maximum", "≤")) if key in schema]
    if "maxLength" in schema:
        bounds.append(f"at most {schema['maxLength']} characters")
    return f"{kind} ({', '.join(bounds)})" if bounds else kind


def _default(entry: Schema) -> str:
    if entry.get("required"):
        return "needed"
    default = entry["schema"].get("default")
    return "" if default in (None, "") else f"`{default}`"


def _meaning(entry: Schema) -> str:
    return str(entry.get("description", "") or entry["schema"].get("description", ""))
