"""Logging in with an identity provider: the authorization code flow with PKCE (OpenID Connect Core 1.0 section 3.1, RFC 7636, RFC 9700).

What belongs to a log-in that has begun is in a signed cookie of the browser, so that any replica may end it. Whatever is wrong is told on
the log-in page, where a token works as ever.
"""

import logging
from typing import Any
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from console.ask_provider import CodeRefused, Provider, ProviderTrouble
from console.audit import Audit
from console.check_id_token import IdTokenRefused, check_id_token, key_id
from console.know_person import groups_of, person, role_of
from console.login_state import LASTS, MAX_COOKIE, LoginState, challenge, is_answer_to, new_state, seal, unseal
from console.render_page import render
from console.serve_login import begin_session, local_path, show_login
from console.sessions import Sessions
from contracts import clock
from contracts.audit import AuditAction
from contracts.login_settings import Oidc
from contracts.settings import Settings

STATE_COOKIE = "mailscope_login"
PATH = "/login/oidc"
MAX_TOLD = 200  # characters of an error of the provider
SHOWN_GROUPS = 50
AGAIN = "this log-in is over, or began in another browser: begin again"
_log = logging.getLogger("mailscope.console")


class _NoLogin(Exception):
    """Nobody is logged in; the text says why."""


def oidc_routers(
    settings: Settings, provider: Provider | None, sessions: Sessions, audit: Audit
) -> tuple[APIRouter, ...]:
    """The router, where a provider is configured."""
    oidc = settings.console.oidc
    return (_router(settings, oidc, provider, sessions, audit),) if oidc and provider else ()


def _router(settings: Settings, oidc: Oidc, provider: Provider, sessions: Sessions, audit: Audit) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    redirect_uri = f"{settings.console.base_url}{PATH}/callback"

    def told(request: Request, why: Exception, target: str, status: int) -> Response:
        _log.warning("a log-in with %s did not succeed: %s", oidc.issuer, why)
        trouble = f"{oidc.name}: {str(why) or type(why).__name__}"
        response = show_login(request, settings, status, target=target, trouble=trouble)
        _forget_state(response, settings)
        return response

    @router.get(PATH)
    async def begin(request: Request, next: str = "/") -> Response:
        target = local_path(next)
        if request.headers.get("sec-fetch-site") == "cross-site":  # a log-in begins on our own page
            return RedirectResponse(f"/login?{urlencode({'next': target})}", 303)
        try:
            metadata, secret = await provider.metadata(), provider.secret()
        except ProviderTrouble as why:
            return told(request, why, target, 503)
        state = new_state(oidc.issuer, target, clock.now())
        cookie = seal(state, secret)
        if len(cookie) > MAX_COOKIE:  # a target that is longer than a browser keeps
            state = new_state(oidc.issuer, "/", clock.now())
            cookie = seal(state, secret)
        asked = _authorization_url(metadata["authorization_endpoint"], oidc, redirect_uri, state)
        response = RedirectResponse(asked, 303)
        response.set_cookie(
            STATE_COOKIE,
            cookie,
            max_age=int(LASTS.total_seconds()),
            path=PATH,
            httponly=True,
            samesite="lax",  # the answer comes by a link from the provider
            secure=settings.console.secure_cookie,
        )
        return response

    @router.get(f"{PATH}/callback")
    async def end(request: Request, code: str = "", state: str = "", error: str = "", iss: str = "") -> Response:
        target = "/"
        try:
            begun = unseal(request.cookies.get(STATE_COOKIE, ""), provider.secret(), clock.now())
            if begun is None or begun.issuer != oidc.issuer or not is_answer_to(begun, state):
                raise _NoLogin(AGAIN)
            target = begun.target
            if error:
                raise _NoLogin(f"it answers {error[:MAX_TOLD]!r}")
            claims = await _claims(provider, oidc, begun, code, iss, redirect_uri)
        except _NoLogin as why:
            return told(request, why, target, 400)
        except IdTokenRefused as why:
            return told(request, IdTokenRefused(f"its ID token is refused: {why}"), target, 400)
        except ProviderTrouble as why:
            return told(request, why, target, 503)
        groups = groups_of(claims, oidc.groups_claim) or []
        role = role_of(groups, oidc.roles)
        if role is None:
            shown = [one[:MAX_TOLD] for one in groups[:SHOWN_GROUPS]]
            response: Response = render(
                request, "no_role.html", 403, groups=shown, provider=oidc.name, claim=oidc.groups_claim
            )
            _forget_state(response, settings)
            return response
        who = person(claims, role, oidc)
        await audit.note(request, who, AuditAction.LOGGED_IN, detail=f"group {role.group}")
        # A strict cookie is not sent on a way that began at the provider: go on from a page of ours.
        response = render(request, "bounce.html", target=target)
        await begin_session(request, response, sessions, who, oidc.session)
        _forget_state(response, settings)
        return response

    @router.get(f"{PATH}/logout")
    async def log_out_there(request: Request) -> Response:
        try:
            place = (await provider.metadata()).get("end_session_endpoint", "")
        except ProviderTrouble as why:
            return told(request, why, "/", 503)
        if not place:
            return RedirectResponse("/login", 303)
        back = {"client_id": oidc.client_id, "post_logout_redirect_uri": f"{settings.console.base_url}/login"}
        return RedirectResponse(_with_query(place, back), 303)

    return router


async def _claims(
    provider: Provider, oidc: Oidc, begun: LoginState, code: str, iss: str, redirect_uri: str
) -> dict[str, Any]:
    """What the provider says of the person whose code this is. ProviderTrouble, IdTokenRefused, _NoLogin."""
    metadata = await provider.metadata()
    demanded = metadata.get("authorization_response_iss_parameter_supported") is True
    if (iss or demanded) and iss != oidc.issuer:  # RFC 9207 section 2.4
        raise _NoLogin("the answer is of another provider")
    if not code:
        raise _NoLogin("it answers without a code")
    try:
        given = await provider.exchange(code, begun.verifier, redirect_uri)
    except CodeRefused as why:
        raise _NoLogin(AGAIN) from why
    token, access_token = given.get("id_token"), given.get("access_token")
    if not isinstance(token, str):
        raise ProviderTrouble("it gives no ID token")
    keys = await provider.keys(without=key_id(token))
    claims = check_id_token(
        token, keys, issuer=oidc.issuer, client_id=oidc.client_id, nonce=begun.nonce, now=clock.now()
    )
    if groups_of(claims, oidc.groups_claim) is not None or not isinstance(access_token, str):
        return claims
    more = await provider.userinfo(access_token)
    if more and more.get("sub") != claims["sub"]:  # OpenID Connect Core 1.0 section 5.3.2
        raise IdTokenRefused("the provider tells of somebody else (userinfo)")
    return {**more, **claims}


def _authorization_url(endpoint: str, oidc: Oidc, redirect_uri: str, state: LoginState) -> str:
    return _with_query(
        endpoint,
        {
            "response_type": "code",
            "client_id": oidc.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(oidc.scopes),
            "state": state.state,
            "nonce": state.nonce,
            "code_challenge": challenge(state.verifier),
            "code_challenge_method": "S256",
        },
    )


def _with_query(endpoint: str, parameters: dict[str, str]) -> str:
    parts = urlsplit(endpoint)
    query = "&".join(one for one in (parts.query, urlencode(parameters)) if one)
    return parts._replace(query=query, fragment="").geturl()


def _forget_state(response: Response, settings: Settings) -> None:
    response.delete_cookie(
        STATE_COOKIE, path=PATH, httponly=True, samesite="lax", secure=settings.console.secure_cookie
    )
