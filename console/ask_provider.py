"""Ask an identity provider: its configuration, its keys, what it gives for a code (OpenID Connect Discovery 1.0, Core 1.0 section 3.1.3).

Every answer is bounded in octets and in time, redirects are not followed, and nothing of the console waits for it but the log-in with it.
"""

import asyncio
import json
import re
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, import_key

from contracts.login_settings import SAFE_ENDPOINT, Oidc

SECONDS = 5.0  # of one answer, as a whole
MAX_ANSWER = 512 << 10  # octets
MAX_KEYS = 100
FRESH = 3600.0  # seconds that its configuration and its keys are kept
AGAIN = 5.0  # seconds after which it is asked again: after a failure, or for a key that it did not have
_SAFE = re.compile(SAFE_ENDPOINT)
_KINDS = ("RSA", "EC", "OKP")  # of public keys
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_OPTIONAL = ("userinfo_endpoint", "end_session_endpoint")


class ProviderTrouble(Exception):
    """The provider does not answer as it has to; the text says what is wrong."""


class CodeRefused(Exception):
    """The provider takes this code no more, or not from here."""


@dataclass
class _Kept:
    value: Any = None
    at: float = -FRESH
    failed_at: float = -FRESH
    why: str = ""


class Provider:
    """The provider of these settings. Every method raises ProviderTrouble."""

    def __init__(self, settings: Oidc) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()  # one question at a time: who waits for it takes its answer, or its failure
        self._metadata, self._keys = _Kept(), _Kept()

    @property
    def log_out_at(self) -> str:
        """Where a person logs out of the provider; empty when it has no such place, or has not been asked yet."""
        return str((self._metadata.value or {}).get("end_session_endpoint", ""))

    def secret(self) -> str:
        """What only we and the provider know."""
        try:
            lines = self._settings.client_secret_file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ProviderTrouble("console.oidc.client_secret_file cannot be read") from error
        if not lines or not lines[0].strip():
            raise ProviderTrouble("the first line of console.oidc.client_secret_file is empty")
        return lines[0].strip()

    async def metadata(self) -> dict[str, Any]:
        """Its configuration."""

        async def ask() -> dict[str, Any]:
            url = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
            return check_metadata(await self._ask("GET", url), self._settings.issuer)

        found: dict[str, Any] = await self._kept(self._metadata, ask, FRESH)
        return found

    async def keys(self, *, without: str | None = None) -> KeySet:
        """Its public keys. Those that are kept are asked for again when they have none with the id `without`."""
        jwks_uri = (await self.metadata())["jwks_uri"]

        async def ask() -> KeySet:
            return read_keys(await self._ask("GET", jwks_uri))

        kept: KeySet | None = self._keys.value
        known = kept is not None and (without is None or any(one.kid == without for one in kept.keys))
        found: KeySet = await self._kept(self._keys, ask, FRESH if known else AGAIN)
        return found

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> dict[str, Any]:
        """What it gives for a code (RFC 6749 section 4.1.3, RFC 7636 section 4.5). CodeRefused where it gives nothing for it."""
        metadata, secret, client = await self.metadata(), self.secret(), self._settings.client_id
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        methods = metadata.get("token_endpoint_auth_methods_supported")
        if isinstance(methods, list) and "client_secret_basic" not in methods and "client_secret_post" in methods:
            form |= {"client_id": client, "client_secret": secret}
            return await self._ask("POST", metadata["token_endpoint"], data=form)
        # RFC 6749 section 2.3.1: both are form-encoded first.
        basic = httpx.BasicAuth(quote(client, safe=""), quote(secret, safe=""))
        return await self._ask("POST", metadata["token_endpoint"], data=form, auth=basic)

    async def userinfo(self, access_token: str) -> dict[str, Any]:
        """What it tells of the person beside the ID token; nothing when it has no place for it."""
        url = (await self.metadata()).get("userinfo_endpoint")
        if not url:
            return {}
        return await self._ask("GET", url, headers={"Authorization": f"Bearer {access_token}"})

    async def _kept(self, kept: _Kept, ask: Any, lasts: float) -> Any:
        async with self._lock:
            now = time.monotonic()
            if kept.value is not None and now - kept.at < lasts:
                return kept.value
            if now - kept.failed_at < AGAIN:
                raise ProviderTrouble(kept.why)
            try:
                kept.value = await ask()
            except ProviderTrouble as why:
                kept.failed_at, kept.why = time.monotonic(), str(why)
                raise
            kept.at = time.monotonic()
            return kept.value

    async def _ask(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        if not _SAFE.match(url):
            raise ProviderTrouble("an address of the provider is neither https nor on this machine")
        file = self._settings.ca_file
        try:
            trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(file)) if file else True
            async with (
                asyncio.timeout(SECONDS),
                httpx.AsyncClient(timeout=SECONDS, follow_redirects=False, trust_env=False, verify=trust) as client,
            ):
                more["headers"] = {
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                    **more.get("headers", {}),
                }
                async with client.stream(method, url, **more) as response:
                    content = b""
                    async for chunk in response.aiter_raw():
                        content += chunk
                        if len(content) > MAX_ANSWER:
                            raise ProviderTrouble("its answer is too large")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            slow = isinstance(error, TimeoutError | httpx.TimeoutException)
            raise ProviderTrouble("it does not answer in time" if slow else "it cannot be reached") from error
        return _read_answer(response.status_code, content)


def _read_answer(status: int, content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if status != 200:
        error = answer.get("error") if isinstance(answer, dict) else None
        if error == "invalid_grant":  # RFC 6749 section 5.2: a code that was used before, or is too old
            raise CodeRefused
        raise ProviderTrouble(f"it answers {status}" + (f" ({error[:100]})" if isinstance(error, str) else ""))
    if not isinstance(answer, dict):
        raise ProviderTrouble("its answer is no JSON object")
    return answer


def check_metadata(metadata: dict[str, Any], issuer: str) -> dict[str, Any]:
    """Its configuration, when it is of this issuer (OpenID Connect Discovery 1.0 section 4.3) and complete. Pure."""
    if metadata.get("issuer") != issuer:
        raise ProviderTrouble("its configuration names another issuer")
    for name in (*_NEEDED, *_OPTIONAL):
        value = metadata.get(name)
        if value is None and name in _OPTIONAL:
            continue
        if not isinstance(value, str) or not _SAFE.match(value):
            raise ProviderTrouble(f"its configuration has no usable {name}")
    return metadata


def read_keys(jwks: dict[str, Any]) -> KeySet:
    """The public keys that sign, of those kinds that we know; others are left out (RFC 7517 section 5). Pure."""
    found: list[Any] = []
    listed = jwks.get("keys")
    for one in listed[:MAX_KEYS] if isinstance(listed, list) else []:
        if not isinstance(one, dict) or one.get("kty") not in _KINDS or one.get("use", "sig") != "sig":
            continue
        try:
            key = import_key(one)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if not key.is_private:
            found.append(key)
    if not found:
        raise ProviderTrouble("it has no key that signs")
    return KeySet(found)
