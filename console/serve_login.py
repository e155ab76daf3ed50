"""Logging in to the pages: a token becomes a session, whose cookie only this site's own pages send back."""

import asyncio
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from console.answer_errors import Problem
from console.authorise import COOKIE, count_guess, peer_of, refuse_other_sites, too_many_guesses, who_asks
from console.render_page import render
from console.sessions import Sessions
from console.slow_guesses import Guesses
from console.tokens import SESSION_LASTS, Tokens
from contracts.settings import Settings

SLOW_GUESS = 3.0  # seconds that a try takes, of a peer that has guessed too often


def login_router(settings: Settings, sessions: Sessions) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    token_file = _from_here(settings.console.admin_token_file or settings.data_dir / "admin-token")

    async def end_session(request: Request) -> None:
        tokens: Tokens = request.app.state.tokens
        if session := tokens.find_session(request.cookies.get(COOKIE, "")):
            await sessions.end(session.id)

    @router.get("/login")
    async def form(request: Request, next: str = "/") -> Response:
        target = local_path(next)
        if request.headers.get("sec-fetch-site") == "cross-site":
            # A strict cookie is not sent on a link from elsewhere (a ticket, a mail): ask once more, from here.
            return render(request, "bounce.html", target=target)
        if who_asks(request) is not None:
            return RedirectResponse(target, 303)
        return render(request, "login.html", target=target, wrong=False, token_file=token_file)

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
            return render(request, "login.html", 401, target=target, wrong=True, token_file=token_file)
        if not principal.may_come_from(peer_of(request)):
            raise Problem(403, "this token may not be used from here", code="forbidden_network")
        await end_session(request)  # the one before it in this browser
        response = RedirectResponse(target, 303)
        response.set_cookie(
            COOKIE,
            await sessions.begin(principal),
            max_age=int(SESSION_LASTS.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=settings.console.secure_cookie,
        )
        return response

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        refuse_other_sites(request)
        await end_session(request)
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=settings.console.secure_cookie)
        return response

    return router


def _from_here(path: Path) -> str:
    """The path as somebody would type it who has started Mailscope."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def local_path(target: str) -> str:
    """The target when it is a path of this site, else `/`: a log-in must not lead elsewhere."""
    odd = "\\" in target or any(ord(character) < 0x21 or ord(character) == 0x7F for character in target)
    if odd or not target.startswith("/") or target.startswith("//"):
        return "/"
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or parts.path in ("/login", "/logout"):
        return "/"
    return target
