"""Logging in to the pages: a token becomes a session, whose cookie only this site's own pages send back. People whom an identity
provider knows: `serve_oidc.py`."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from console.answer_errors import Problem
from console.ask_provider import Provider
from console.authorise import COOKIE, count_guess, peer_of, refuse_other_sites, too_many_guesses, who_asks
from console.render_page import render
from console.sessions import Sessions
from console.slow_guesses import Guesses
from console.tokens import SESSION_LASTS, Principal, Tokens
from contracts.settings import Settings

SLOW_GUESS = 3.0  # seconds that a try takes, of a peer that has guessed too often


def login_router(settings: Settings, sessions: Sessions) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    async def form(request: Request, next: str = "/", left: str = "") -> Response:
        target = local_path(next)
        if request.headers.get("sec-fetch-site") == "cross-site":
            # A strict cookie is not sent on a link from elsewhere (a ticket, a mail): ask once more, from here.
            return render(request, "bounce.html", target=target)
        if who_asks(request) is not None:
            return RedirectResponse(target, 303)
        return show_login(request, settings, target=target, left=bool(left))

    @router.post("/login")
    async def log_in(
        request: Request, token: Annotated[str, Form(max_length=500)] = "", next: Annotated[str, Form()] = "/"
    ) -> Response:
        refuse_other_sites(request)
        target = local_path(next)
        guesses: Guesses = request.app.state.guesses
        seconds = guesses.wait(peer_of(request))
        # A guess takes time, and who shares an address with a guesser (a proxy's) is not locked out.
        await asyncio.sleep(min(seconds, SLOW_GUESS))
        tokens: Tokens = request.app.state.tokens
        principal = tokens.find(token.strip())
        if principal is None and seconds:
            raise too_many_guesses(seconds)
        if principal is None:
            count_guess(request)
            return show_login(request, settings, 401, target=target, wrong=True)
        if not principal.may_come_from(peer_of(request)):
            raise Problem(403, "this token may not be used from here", code="forbidden_network")
        response = RedirectResponse(target, 303)
        await begin_session(request, response, sessions, principal, SESSION_LASTS)
        return response

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        refuse_other_sites(request)
        ended = await end_session(request, sessions)
        response = RedirectResponse("/login?left=1" if ended is not None and ended.issuer else "/login", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=settings.console.secure_cookie)
        return response

    return router


def show_login(
    request: Request,
    settings: Settings,
    status: int = 200,
    *,
    target: str,
    wrong: bool = False,
    trouble: str = "",
    left: bool = False,
) -> Response:
    """The page. `trouble` is what is wrong with the identity provider; `left`: a person has logged out here, and may want to there."""
    provider: Provider | None = request.app.state.provider
    return render(
        request,
        "login.html",
        status,
        target=target,
        wrong=wrong,
        trouble=trouble,
        token_file=_from_here(settings.console.admin_token_file or settings.data_dir / "admin-token"),
        provider=settings.console.oidc.name if settings.console.oidc else "",
        log_out_there=bool(left and provider is not None and provider.log_out_at),
    )


async def begin_session(
    request: Request, response: Response, sessions: Sessions, principal: Principal, lasts: timedelta
) -> None:
    """Give this browser a session of its own, in place of the one that it had. Unavailable when it cannot be written down."""
    settings: Settings = request.app.state.settings
    await end_session(request, sessions)
    response.set_cookie(
        COOKIE,
        await sessions.begin(principal, lasts),
        max_age=int(lasts.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=settings.console.secure_cookie,
    )


async def end_session(request: Request, sessions: Sessions) -> Principal | None:
    """End the session of this browser; whose it was."""
    tokens: Tokens = request.app.state.tokens
    session = tokens.find_session(request.cookies.get(COOKIE, ""))
    if session is not None:
        await sessions.end(session.id)
    return session


def _from_here(path: Path) -> str:
    """The path as somebody would type it who has started Mailscope."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def local_path(target: str) -> str:
    """The target when it is a path of this site, else `/`: a log-in must not lead elsewhere."""
    odd = "\\" in target or any(ord(character) < 0x21 or ord(character) == 0x7F for character in target)
    if odd or not target.startswith("/") or target.startswith("//"):
        return "/"
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or parts.path in ("/login", "/logout") or parts.path.startswith("/login/"):
        return "/"
    return target
