"""Answers to who sees addresses masked: whatever a route says, in whatever form, is masked on its way out. Plain ASGI.

It is done here and not by each route, so that a new page or field shows nothing that somebody forgot to mask. Lines are masked as they
come: an address has no line break in it.
"""

import asyncio
from collections.abc import Collection
from functools import partial
from urllib.parse import unquote_plus

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.mask_addresses import addresses_in, mask_addresses
from console.masked_asker import begin_request, is_masked
from contracts.settings import Settings

LARGE = 64 << 10  # octets that are masked beside other requests, not before them
MOST_KNOWN = 5  # addresses in the URL of a request, which its answer shows as they are


def reveal(request: HTTPConnection) -> None:
    """The answer to this request shows addresses as they are. Who does it has written it down first."""
    request.state.revealed = True


class MaskAnswers:
    """Masks the answers to a masked principal. Addresses that the request itself names are known to who asks, and stay."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._ours = frozenset(one.lower() for one in (*settings.inbound.domains, *settings.outbound.domains))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        begin_request(scope)
        known: Collection[str] = ()
        masking, rest = False, b""

        async def masked(message: Message) -> None:
            nonlocal masking, rest, known
            if message["type"] == "http.response.start":
                masking = is_masked() and not scope["state"].get("revealed", False)
                if masking:
                    headers = MutableHeaders(scope=message)
                    del headers["content-length"]
                    known = _named(scope)
                await send(message)
                return
            if not masking or message["type"] != "http.response.body":
                await send(message)
                return
            octets, more = rest + message.get("body", b""), message.get("more_body", False)
            whole = octets.rfind(b"\n") + 1 if more else len(octets)
            rest = octets[whole:]
            mask = partial(_mask, octets[:whole], self._ours, known)
            body = await asyncio.to_thread(mask) if whole > LARGE else mask()
            await send({"type": "http.response.body", "body": body, "more_body": more})

        await self._app(scope, receive, masked)


def _mask(octets: bytes, ours: Collection[str], known: Collection[str]) -> bytes:
    text = octets.decode("utf-8", "surrogateescape")
    return mask_addresses(text, ours, known).encode("utf-8", "surrogateescape")


def _named(scope: Scope) -> frozenset[str]:
    asked = f"{scope['path']} {unquote_plus(scope.get('query_string', b'').decode('latin-1'))}"
    return frozenset(
        one.lstrip("/") for one in addresses_in(asked.replace("/", " / ").replace("=", " = "))[:MOST_KNOWN]
    )
