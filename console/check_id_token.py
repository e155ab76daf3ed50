"""Check an ID token (OpenID Connect Core 1.0 section 3.1.3.7, RFC 8725): who signed it, for whom, when, and for which log-in. Pure."""

import base64
import binascii
import json
from datetime import datetime
from hmac import compare_digest
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

# Signatures of public keys alone: with `none` or HS256, whoever knows the public key could have signed.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
LEEWAY = 60  # seconds that clocks may differ
OLDEST = 600  # seconds since it was made: it is asked for within a log-in
MAX_TOKEN = 64 << 10  # characters
MAX_SUBJECT = 255  # characters (section 2)


class IdTokenRefused(Exception):
    """The ID token is not good; the text says what is wrong with it."""


def key_id(text: str) -> str | None:
    """The id of the key that an ID token says it was signed with; None when it says none. IdTokenRefused when it is no token."""
    try:
        part = text.split(".", 1)[0]
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise IdTokenRefused("it is no JWT") from error
    found = header.get("kid") if isinstance(header, dict) else None
    return found if isinstance(found, str) else None


def check_id_token(
    text: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: datetime
) -> dict[str, Any]:
    """Its claims. IdTokenRefused when it is not for this client and this log-in, of this issuer, signed and of now."""
    claims = _signed(text, keys)
    audiences = claims.get("aud")
    audiences = [audiences] if isinstance(audiences, str) else audiences
    if claims.get("iss") != issuer:
        raise IdTokenRefused("it is of another issuer (iss)")
    if not isinstance(audiences, list) or client_id not in audiences:
        raise IdTokenRefused("it is for another client (aud)")
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != client_id:
        raise IdTokenRefused("it is for another client (azp)")
    _check_times(claims, now.timestamp())
    told = claims.get("nonce")
    if not isinstance(told, str) or not compare_digest(told.encode(), nonce.encode()):
        raise IdTokenRefused("it is of another log-in (nonce)")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise IdTokenRefused("it names nobody (sub)")
    return claims


def _signed(text: str, keys: KeySet) -> dict[str, Any]:
    if len(text) > MAX_TOKEN:
        raise IdTokenRefused("it is too large")
    kid = key_id(text)
    for key in keys.keys:
        if kid is not None and key.kid is not None and key.kid != kid:
            continue
        try:
            return dict(jwt.decode(text, key, algorithms=list(ALGORITHMS)).claims)
        except (JoseError, ValueError, TypeError, RecursionError):
            continue
    raise IdTokenRefused("no key of the provider has signed it, in a way that is allowed")


def _check_times(claims: dict[str, Any], now: float) -> None:
    ends, made = _time(claims, "exp"), _time(claims, "iat")
    begins = _time(claims, "nbf") if "nbf" in claims else made
    if now - LEEWAY >= ends:
        raise IdTokenRefused("it is over (exp)")
    if not now - OLDEST - LEEWAY <= made <= now + LEEWAY or begins > now + LEEWAY:
        raise IdTokenRefused("it was not made now (iat): compare the clocks of both sides")


def _time(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise IdTokenRefused(f"it has no time ({name})")
    return value
