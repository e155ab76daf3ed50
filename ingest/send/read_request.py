"""The JSON of a request to the send hook, read so that its size bounds what it costs: a few octets of JSON can be many objects.

The parts that may be large are texts; the lists and maps are counted before they are made.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

MAX_COMMAS = 10_000  # in a list or map of a request: more are no recipients, headers or attachments that we take
MAX_MEMBERS = 100  # of the request itself
_TEXT = b'"'
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_request(octets: bytes) -> Any:
    """What the JSON says. RequestValidationError when it is none, or has more members, items or keys than any request."""
    try:
        members = _members.decode(octets)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong("", f"the body is no JSON object: {error}") from error
    if len(members) > MAX_MEMBERS:
        raise _wrong("", f"it has more than {MAX_MEMBERS} members")
    read: dict[str, Any] = {}
    for name, raw in members.items():
        value = memoryview(raw)
        if value[:1] != _TEXT and bytes(value).count(b",") > MAX_COMMAS:
            raise _wrong(name, f"it has more than {MAX_COMMAS} items")
        try:
            read[name] = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _wrong(name, f"it is no JSON: {error}") from error
    return read


def _wrong(field: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body", field) if field else ("body",), "msg": message, "type": "json"}])


class _ReadRequest(Request):
    """A request whose JSON is read already."""

    async def json(self) -> Any:
        return self.state.json


class SendRoute(APIRoute):
    """A route whose JSON is read by `read_request`, off the event loop."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with the reading in front."""
        handle = super().get_route_handler()

        async def read_and_handle(request: Request) -> Response:
            reading = _ReadRequest(request.scope, request.receive)
            reading.state.json = await asyncio.to_thread(read_request, await reading.body())
            return await handle(reading)

        return read_and_handle
