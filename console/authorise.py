"""Who may do what: a bearer token, or the cookie of a log-in, and the scope that a route demands."""

from collections.abc import Callable

from fastapi import Request

from console.answer_errors import Problem
from console.tokens import Principal, Tokens

COOKIE = "mailscope_token"


def authorised(scope: str) -> Callable[[Request], Principal]:
    """The dependency that demands a token with this scope; app.state.tokens knows the tokens."""

    def check(request: Request) -> Principal:
        principal = who_asks(request)
        if principal is None:
            raise Problem(401, "a token is needed: send `Authorization: Bearer ...`")
        if scope not in principal.scopes:
            raise Problem(403, f"this token does not have the scope {scope}", code="missing_scope")
        return principal

    return check


def who_asks(request: Request) -> Principal | None:
    """Whose token the request carries. A cookie counts for reading only: it is sent without the user's knowledge."""
    tokens: Tokens = request.app.state.tokens
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return tokens.find(token.strip())
    cookie = request.cookies.get(COOKIE)
    if cookie and request.method in ("GET", "HEAD"):
        return tokens.find(cookie)
    return None
