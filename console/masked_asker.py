"""Whether who asks sees addresses masked, for what is deep within an answer: a search, a cursor. One request is one context."""

import base64
import binascii
import hashlib
from contextvars import ContextVar

from cryptography.fernet import Fernet, InvalidToken
from starlette.types import Scope

from console.tokens import Principal

_request: ContextVar[Scope | None] = ContextVar("asking_request", default=None)


def begin_request(scope: Scope) -> None:
    """From now on this is the request that is answered. `console/authorise.py` writes down who asks."""
    _request.set(scope)


def is_masked() -> bool:
    """Whether who asks sees addresses masked."""
    scope = _request.get()
    principal: Principal | None = scope.get("state", {}).get("used_by") if scope is not None else None
    return principal is not None and principal.masked


def seal(text: str) -> str:
    """A text with an address in it, such as a cursor, for a URL; nobody reads it who sees addresses masked."""
    if is_masked():
        return _key().encrypt(text.encode()).decode()
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unseal(text: str) -> str:
    """The text again. ValueError when it is none of ours."""
    try:
        if is_masked():
            return _key().decrypt(text.encode()).decode()
        return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode()
    except (binascii.Error, InvalidToken) as error:
        raise ValueError("it was not made here") from error


def _key() -> Fernet:
    scope = _request.get()
    assert scope is not None
    secret: bytes = scope["app"].state.tokens.secret(scope["state"]["used_by"].id)  # all replicas know it
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"cursor\0" + secret).digest()))
