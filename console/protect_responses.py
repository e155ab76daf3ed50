"""Headers that every response carries: what a browser may do with it."""

import re
from collections.abc import Iterable

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# The HTML of a mail: no script, no form, nothing from anywhere, an origin of its own.
_MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src {pictures}data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
MAIL_POLICY = _MAIL_POLICY.format(pictures="")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with `no-referrer`, a browser would not say where a form of ours comes from
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def picture_policy(hosts: Iterable[str], path: str) -> str:
    """The policy of a mail's HTML whose own pictures are under `path` of one of these hosts: nothing else of ours can be asked for from
    within it, since a browser would send the cookie along."""
    sources = dict.fromkeys(f"{host}{path} " for host in hosts if _HOST.fullmatch(host))
    return _MAIL_POLICY.format(pictures="".join(sources))


class Protection:
    """Adds the headers that a response does not set itself. Plain ASGI, so that streams stay streams."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                # What the log says is for the one who asked; our own files are asked for again after an upgrade.
                static = scope["path"].startswith("/static/")
                headers.setdefault("Cache-Control", "no-cache" if static else "private, no-store")
            await send(message)

        await self._app(scope, receive, protected if scope["type"] == "http" else send)


def protect_responses(app: FastAPI) -> None:
    """Give every response of the app these headers."""
    app.add_middleware(Protection)
