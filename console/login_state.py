"""What a browser keeps while its user is at the identity provider: signed, for a few minutes, known to no replica. Pure."""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

import msgspec

from contracts import clock

LASTS = timedelta(minutes=10)
MAX_COOKIE = 4000  # octets; a browser keeps no larger one


class LoginState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One log-in that has begun. `state` binds the answer to this browser, `nonce` the ID token, `verifier` the code."""

    state: str
    nonce: str
    verifier: str
    target: str  # where to go then, a path of ours
    issuer: str
    ends_at: int  # milliseconds


def new_state(issuer: str, target: str, now: datetime) -> LoginState:
    """A log-in that begins now."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    ends = clock.to_ms(now + LASTS)
    return LoginState(state=state, nonce=nonce, verifier=verifier, target=target, issuer=issuer, ends_at=ends)


def challenge(verifier: str) -> str:
    """What the provider is told of the verifier (RFC 7636 section 4.2, S256)."""
    return _text(hashlib.sha256(verifier.encode()).digest())


def seal(state: LoginState, secret: str) -> str:
    """The cookie."""
    body = _text(msgspec.json.encode(state))
    return f"{body}.{_sign(body, secret)}"


def unseal(cookie: str, secret: str, now: datetime) -> LoginState | None:
    """The log-in of a cookie; None when it is not of ours, or over."""
    body, _, signature = cookie.rpartition(".")
    if len(cookie) > MAX_COOKIE or not hmac.compare_digest(signature.encode(), _sign(body, secret).encode()):
        return None
    state = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=LoginState)
    return state if clock.to_ms(now) < state.ends_at else None


def is_answer_to(state: LoginState, given: str) -> bool:
    """Whether an answer is to this log-in."""
    return hmac.compare_digest(state.state.encode(), given.encode("utf-8", "surrogateescape"))


def _sign(body: str, secret: str) -> str:
    key = hmac.digest(secret.encode(), b"mailscope: a log-in that has begun", "sha256")
    return _text(hmac.digest(key, body.encode("utf-8", "surrogateescape"), "sha256"))


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
