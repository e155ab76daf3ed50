"""Who a person is, and what they may do, by what the identity provider says of them. Pure."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from console.tokens import Principal
from contracts.login_settings import Oidc, Role

MAX_GROUPS = 1000
MAX_NAME = 200  # characters


def groups_of(claims: Mapping[str, Any], claim: str) -> list[str] | None:
    """The groups that it tells; None when it tells nothing of groups."""
    told = claims.get(claim)
    if isinstance(told, str):
        return [told]
    if not isinstance(told, list):
        return None
    return [one for one in told[:MAX_GROUPS] if isinstance(one, str)]


def role_of(groups: Sequence[str], roles: Sequence[Role]) -> Role | None:
    """The first role of whose group they are. Several roles are not added up: the domains of one would hold for the scopes of another."""
    return next((role for role in roles if role.group in groups), None)


def person(claims: Mapping[str, Any], role: Role, settings: Oidc) -> Principal:
    """Who they are, under a name that says who vouches for them: the e-mail address, else the `sub`, and the issuer. The provider may
    give an address to somebody else some day, never a `sub`: that is what the id is made of (OpenID Connect Core 1.0 section 5.7)."""
    email = claims.get("email")
    known = isinstance(email, str) and email != "" and claims.get("email_verified") in (True, None)
    digest = hashlib.sha256(f"{settings.issuer}\0{claims['sub']}".encode("utf-8", "surrogatepass")).hexdigest()
    return Principal(
        id=f"person-{digest[:24]}",
        name=f"{str(email if known else claims['sub'])[:MAX_NAME]} ({settings.issuer})",
        scopes=frozenset(role.scopes),
        domains=frozenset(one.lower() for one in role.domains),
        issuer=settings.issuer,
        masked=role.masked,
    )
