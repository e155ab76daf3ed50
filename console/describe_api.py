"""What OpenAPI says of the API beyond what its routes do: filters, who may call, errors, and the shape of answers that are written without
a model. A test compares the shapes with real answers."""

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from console.answer_models import ANSWERS
from console.conditions import COLUMNS, NUMBERS, TIMES, WITHIN, WORDS

Schema = dict[str, Any]
FILTERED = ("/api/v1/mails", "/api/v1/export", "/api/v1/facets", "/api/v1/stats/{name}")  # these take every filter
_MEANINGS = {
    "direction": "Which way.",
    "from": "The author, or a part of the address; `*` is a wildcard.",
    "to": "The recipient, or a part of the address; `*` is a wildcard.",
    "message_id": "With or without its brackets.",
    "reference": "The application's key, such as IT-42.",
    "domain": "Of the other side: of the author inbound, of the recipient outbound.",
    "mail_id": "The id that every row and event of the mail carries.",
    "peer_ip": "From where it came.",
    "source": "The mail server that delivers it, where that is not us.",
    "source_id": "Its id there, such as a queue id.",
    "size": "Octets, with `<` or `>` in front, and units: `>10MiB`.",
    "attempts": "How many, with `<` or `>` in front.",
    "smtp_code": "Of the answer that decided, with `<` or `>` in front.",
    "enhanced_code": "Of that answer (RFC 3463); `5.1.*` is any of these.",
}
_EXAMPLES = {
    "q": "status:deferred,delivery_failed to:*@example.net since:2h",
    "since": "2h",
    "until": "2026-11-27T12:03:04Z",
    "size": ">10MiB",
    "attempts": ">2",
    "smtp_code": "550",
    "domain": "example.net",
    "reference": "IT-42",
}
_ERRORS = {
    "400": "It is not HTTP as it should be.",
    "401": "No token, or one that is not known.",
    "403": "The token may not do that.",
    "404": "There is no such thing, or it is not for this token.",
    "408": "The body came too slowly.",
    "410": "It is not kept any more.",
    "413": "The body is too large.",
    "422": "A parameter or field is wrong: `field` names it.",
    "429": "Too many: `Retry-After` says when to come back.",
    "503": "Kafka or the log store is away, or the question takes too much: try again later.",
    "507": "There is no room on the disk.",
}


def describe_api(app: FastAPI) -> Schema:
    """The OpenAPI document of the application, whole."""
    document = app.openapi()
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "An API token: `mailscope token create`."}
    }
    document["security"] = [{"token": []}]
    models = [(model, "serialization") for model in dict.fromkeys(ANSWERS.values())]
    references, shapes = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    components["schemas"] |= shapes["$defs"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path in FILTERED:
                operation["parameters"] = [*operation.get("parameters", []), *filter_parameters()]
            model = ANSWERS.get((method.upper(), path))
            if model is not None:
                success = next(status for status in operation["responses"] if status.startswith("2"))
                body = operation["responses"][success]["content"]["application/json"]
                body["schema"] = references[(model, "serialization")]
            for status, meaning in _ERRORS.items():
                operation["responses"].setdefault(status, _error(meaning))
    return document


def filter_parameters() -> list[Schema]:
    """Every filter of the log as a parameter."""
    names = [*COLUMNS, *TIMES, "q"]
    return [
        {"name": name, "in": "query", "required": False, "description": _meaning(name), "schema": _schema(name)}
        for name in names
    ]


def _schema(name: str) -> Schema:
    """Nothing narrower than what is taken: several values, exclusion and wildcards are written within the text."""
    example = _EXAMPLES.get(name) or (sorted(WORDS[name])[0] if name in WORDS else "")
    return {"type": "string", "minLength": 1, "maxLength": 2000} | ({"examples": [example]} if example else {})


def _meaning(name: str) -> str:
    if name == "q":
        return "All of it as one line, as people type it: `status:deferred to:*@example.net since:2h`."
    if name in TIMES:
        return f"Received {'at or after' if name == 'since' else 'before'} this: RFC 3339, or how long ago, such as 2h."
    if name in _MEANINGS:
        return _MEANINGS[name]
    if name in WORDS:
        return f"One of {', '.join(sorted(WORDS[name]))}; several with commas; `!` in front excludes."
    if name in WITHIN:
        return "Words that are in it, whatever their case."
    kind = "compared" if name in NUMBERS else "exact"
    return f"The field of this name, {kind}; several with commas; `!` in front excludes."


def _error(meaning: str) -> Schema:
    shape = {"$ref": "#/components/schemas/ErrorBody"}
    return {"description": meaning, "content": {"application/json": {"schema": shape}}}
