"""ID tokens: only one that the provider's key has signed, for us, now, and for this log-in, is taken."""

import base64
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from console.ask_provider import ProviderTrouble, check_metadata, read_keys
from console.check_id_token import IdTokenRefused, check_id_token

KEY = RSAKey.generate_key(2048, {"kid": "one"})
OTHER = RSAKey.generate_key(2048, {"kid": "one"})
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
T = int(NOW.timestamp())
GOOD: dict[str, Any] = {
    "iss": "https://id.example",
    "aud": "mailscope",
    "sub": "7",
    "nonce": "n",
    "iat": T,
    "exp": T + 60,
}


def _sign(claims: dict[str, Any], key: Any = KEY, **header: Any) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one", **header}, claims, key, algorithms=["RS256", "ES256", "HS256"])


def _check(text: str, keys: Any = None) -> dict[str, Any]:
    keys = keys or read_keys(KeySet([KEY]).as_dict(private=False))
    return check_id_token(text, keys, issuer="https://id.example", client_id="mailscope", nonce="n", now=NOW)


def test_a_good_token_tells_who_it_is() -> None:
    assert _check(_sign(GOOD))["sub"] == "7"
    assert _check(_sign({**GOOD, "aud": ["mailscope", "x"], "azp": "mailscope"}))["sub"] == "7"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"iss": "https://id.example/"}, "iss"), ({"iss": None}, "iss"), ({"aud": "other"}, "aud"), ({"aud": None}, "aud"),
        ({"aud": ["mailscope", "other"]}, "azp"), ({"azp": "other"}, "azp"), ({"aud": "mailscope2"}, "aud"), ({"aud": []}, "aud"),
        ({"exp": T - 61}, "exp"), ({"exp": None}, "exp"), ({"exp": True}, "exp"), ({"exp": "9999999999"}, "exp"),
        ({"iat": T + 120}, "iat"), ({"iat": T - 3600}, "iat"), ({"iat": None}, "iat"), ({"nbf": T + 120}, "iat"),
        ({"nonce": "m"}, "nonce"), ({"nonce": None}, "nonce"), ({"nonce": ["n"]}, "nonce"),
        ({"sub": ""}, "sub"), ({"sub": 7}, "sub"), ({"sub": "x" * 256}, "sub"),
    ],
)  # fmt: skip
def test_a_token_that_is_not_for_this_log_in_is_refused(change: dict[str, Any], why: str) -> None:
    claims = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    with pytest.raises(IdTokenRefused, match=why):
        _check(_sign(claims))


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _unsigned(alg: str, secret: bytes | None = None) -> str:
    body = ".".join(_text(json.dumps(one).encode()) for one in ({"alg": alg, "kid": "one"}, GOOD))
    return f"{body}." + ("" if secret is None else _text(hmac.digest(secret, body.encode(), "sha256")))


def test_a_token_that_its_provider_has_not_signed_is_refused() -> None:
    public = KEY.as_pem(private=False)
    forged = [
        _sign(GOOD, OTHER), _unsigned("none"), _unsigned("None"), _unsigned("HS256", public), _sign(GOOD)[:-8] + "AAAAAAAA",
        _sign(GOOD, kid="two"), _sign(GOOD, OTHER, jwk=OTHER.as_dict(private=False)), "", "a.b.c", "é.é.é", "." * 5, "x" * (65 << 10),
        _sign(GOOD, ECKey.generate_key("P-256"), alg="ES256"),
    ]  # fmt: skip
    for text in forged:
        with pytest.raises(IdTokenRefused):
            _check(text)


def test_of_the_keys_only_public_ones_that_sign_count() -> None:
    public = KEY.as_dict(private=False)
    odd: list[Any] = [
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "XYZ"},
        {"kty": "RSA"},
        7,
        None,
        {**public, "use": "enc"},
        KEY.as_dict(private=True),
    ]
    for keys in ({"keys": odd}, {"keys": []}, {"keys": 7}, {}):
        with pytest.raises(ProviderTrouble):
            read_keys(keys)
    assert [one.kid for one in read_keys({"keys": [*odd, public]}).keys] == ["one"]


def test_a_configuration_is_of_its_issuer_and_leads_nowhere_unsafe() -> None:
    good = {
        "issuer": "https://id.example", "authorization_endpoint": "https://id.example/a", "token_endpoint": "https://id.example/t",
        "jwks_uri": "https://id.example/k",
    }  # fmt: skip
    assert check_metadata(good, "https://id.example") == good
    for change in (
        {"issuer": "https://evil.example"}, {"token_endpoint": "http://id.example/t"}, {"token_endpoint": None}, {"jwks_uri": 7},
        {"authorization_endpoint": "javascript:alert(1)"}, {"end_session_endpoint": "http://127.0.0.1.evil.example/"},
        {"jwks_uri": "file:///etc/passwd"}, {"userinfo_endpoint": "https://user@evil.example/"},
    ):  # fmt: skip
        with pytest.raises(ProviderTrouble):
            check_metadata({**good, **change}, "https://id.example")
