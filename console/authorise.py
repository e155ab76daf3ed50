"""Who may do what: a bearer token, or the cookie of a session, and the scope that a route demands."""

import math
from collections.abc import Callable
from urllib.parse import urlsplit

from fastapi import Request
from starlette.requests import HTTPConnection

from console.answer_errors import Problem
from console.slow_guesses import Guesses
from console.tokens import Principal, Tokens
from contracts.settings import Settings

COOKIE = "mailscope_session"


def authorised(scope: str) -> Callable[[Request], Principal]:
    """The dependency that demands a token with this scope; app.state.tokens knows the tokens."""

    def check(request: Request) -> Principal:
        return demand(request, scope)

    return check


def form_authorised(scope: str) -> Callable[[Request], Principal]:
    """The same for a form of our own pages, which a browser sends with the cookie of its session."""

    def check(request: Request) -> Principal:
        if bearer(request):
            return demand(request, scope)
        refuse_other_sites(request)
        return demand_session(request, scope)

    return check


def demand(request: Request, scope: str | None) -> Principal:
    """Who asks, with this scope. Problem 401, 403, or 429 for who guesses. Unavailable while it cannot be known."""
    principal = who_asks(request)
    if principal is None:
        if bearer(request):
            count_guess(request)
        raise Problem(401, "a token is needed: send `Authorization: Bearer ...`")
    return _allowed(request, principal, scope)


def peer_of(request: HTTPConnection) -> str:
    """The address that it comes from; "" when it is not known."""
    return request.client.host if request.client else ""


def _allowed(request: HTTPConnection, principal: Principal, scope: str | None) -> Principal:
    if not principal.may_come_from(peer_of(request)):
        raise Problem(403, "this token may not be used from here", code="forbidden_network")
    request.state.used_by = principal
    if scope is not None and scope not in principal.scopes:
        raise Problem(403, f"this token does not have the scope {scope}", code="missing_scope")
    return principal


def refuse_other_sites(request: Request) -> None:
    """Problem 403 when another site sent this form. A browser says with every form where it comes from (Origin, RFC 6454 section 7); who
    says nothing is no browser."""
    settings: Settings = request.app.state.settings
    ours = {request.headers.get("host", "").lower(), urlsplit(settings.console.base_url).netloc.lower()}
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() not in ours - {""}
    if foreign or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "this form was sent by another site", code="cross_site")


def who_asks(request: Request) -> Principal | None:
    """Whose token the request carries. A cookie counts for reading only: it is sent without the user's knowledge."""
    tokens: Tokens = request.app.state.tokens
    if token := bearer(request):
        return tokens.find(token)
    cookie = request.cookies.get(COOKIE)
    if cookie and request.method in ("GET", "HEAD"):
        return tokens.find_session(cookie)
    return None


def demand_session(request: HTTPConnection, scope: str) -> Principal:
    """Whose session a form of ours carries, with this scope; whether the form is ours, `refuse_other_sites` says. Problem 401 or 403.
    Unavailable while it cannot be known."""
    tokens: Tokens = request.app.state.tokens
    principal = tokens.find_session(request.cookies.get(COOKIE, ""))
    if principal is None:
        raise Problem(401, "log in first")
    return _allowed(request, principal, scope)


def bearer(request: HTTPConnection) -> str:
    """The token that the request carries (RFC 6750 section 2.1); "" when none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def count_guess(request: HTTPConnection) -> None:
    """This request came with a token that is not known. Problem 429 when its peer has tried too many."""
    guesses: Guesses = request.app.state.guesses
    peer = peer_of(request)
    if seconds := guesses.wait(peer):
        raise too_many_guesses(seconds)
    guesses.failed(peer)


def too_many_guesses(seconds: float) -> Problem:
    """The answer to who guesses, and when to come back."""
    wait = math.ceil(seconds)
    return Problem(429, f"too many unknown tokens from here: try again in {wait} s", headers={"Retry-After": str(wait)})
