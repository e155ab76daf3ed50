"""Who may do what: a bearer token, or the cookie of a session, and the scope that a route demands."""

import math
from collections.abc import Callable

from fastapi import Request
from starlette.requests import HTTPConnection

from console.answer_errors import Problem
from console.slow_guesses import Guesses
from console.tokens import Principal, Tokens

COOKIE = "mailscope_session"


def authorised(scope: str) -> Callable[[Request], Principal]:
    """The dependency that demands a token with this scope; app.state.tokens knows the tokens."""

    def check(request: Request) -> Principal:
        return demand(request, scope)

    return check


def demand(request: Request, scope: str | None) -> Principal:
    """Who asks, with this scope. Problem 401, 403, or 429 for who guesses. Unavailable while it cannot be known."""
    principal = who_asks(request)
    if principal is None:
        if bearer(request):
            count_guess(request)
        raise Problem(401, "a token is needed: send `Authorization: Bearer ...`")
    if scope is not None and scope not in principal.scopes:
        raise Problem(403, f"this token does not have the scope {scope}", code="missing_scope")
    return principal


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
    """Whose session a form of ours carries, with this scope; whether the form is ours, `refuse_other_sites` says (serve_login.py). Problem
    401 or 403. Unavailable while it cannot be known."""
    tokens: Tokens = request.app.state.tokens
    principal = tokens.find_session(request.cookies.get(COOKIE, ""))
    if principal is None:
        raise Problem(401, "log in first")
    if scope not in principal.scopes:
        raise Problem(403, f"your token does not have the scope {scope}", code="missing_scope")
    return principal


def bearer(request: HTTPConnection) -> str:
    """The token that the request carries (RFC 6750 section 2.1); "" when none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def count_guess(request: HTTPConnection) -> None:
    """This request came with a token that is not known. Problem 429 when its peer has tried too many."""
    guesses: Guesses = request.app.state.guesses
    peer = request.client.host if request.client else ""
    if seconds := guesses.wait(peer):
        raise too_many_guesses(seconds)
    guesses.failed(peer)


def too_many_guesses(seconds: float) -> Problem:
    """The answer to who guesses, and when to come back."""
    wait = math.ceil(seconds)
    return Problem(429, f"too many unknown tokens from here: try again in {wait} s", headers={"Retry-After": str(wait)})
