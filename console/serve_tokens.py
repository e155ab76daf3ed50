"""API tokens over the API (design section 5): list, make, revoke. A token is shown once, when it is made."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Protocol

import msgspec
from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from console.address_lists import whole_list
from console.answer_errors import Problem
from console.audit import Audit
from console.moment import Moment
from console.tokens import Principal, new_token, token_record
from contracts import clock
from contracts.audit import AuditAction
from contracts.login_settings import Scope
from contracts.records import Position, Record
from contracts.shared_state import Token

Manager = Annotated[Principal, Depends(whole_list("manage"))]


class Table(Protocol):
    """All tokens and sessions, by their ids."""

    def snapshot(self) -> Mapping[str, Token]: ...

    async def read_up_to(self, place: Position) -> None: ...


class PlacedWriter(Protocol):
    """Writes a record down, and says where. Unavailable when it could not be."""

    def publish_at(self, record: Record) -> Awaitable[Position]: ...


class TokenShown(BaseModel):
    id: str = Field(description="Its id, which is no secret.")
    name: str = Field(description="What it is called; names are not unique.")
    scopes: list[str] = Field(description="What it may do.")
    domains: list[str] = Field(description="Whose mail it sees and sends; empty: all.")
    networks: list[str] = Field(description="From where it may be used; empty: from anywhere.")
    created_at: datetime = Field(description="When it was made.")
    expires_at: datetime | None = Field(description="When it ends by itself; null: never.")
    revoked_at: datetime | None = Field(description="When it was revoked; null: it was not.")
    session_of: str | None = Field(description="Of a session of the console: the id of its token, or of its person.")
    issuer: str | None = Field(description="Of a person's session: the identity provider that knows them.")
    masked: bool = Field(description="Whether it sees addresses of people outside masked.")
    last_used_at: str | None = Field(
        description="When it was last used, to the hour; null: not as far as the log goes."
    )


class TokensShown(BaseModel):
    items: list[TokenShown] = Field(description="The newest first; sessions as well.")


class TokenBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=100, description="What it is called.")
    scopes: list[Scope] = Field(min_length=1, max_length=5, description="What it may do: no more than who makes it.")
    domains: list[str] = Field(default=[], max_length=1000, description="Whose mail it sees and sends; empty: all.")
    masked: bool = Field(
        default=False, description="It sees addresses of people outside masked; so does what a masked token makes."
    )
    networks: list[str] = Field(
        default=[], max_length=100, description="From where it may be used, such as 192.0.2.0/24; empty: from anywhere."
    )
    expires_at: Moment | None = Field(
        None, description="When it ends by itself, not later than who makes it; null: with who makes it, or never."
    )


class TokenMade(BaseModel):
    token: str = Field(description="The token. It is shown now and never again.")
    id: str = Field(description="Its id, to revoke it by.")


def tokens_router(
    table: Table, writer: PlacedWriter, audit: Audit, last_uses: Callable[[], Awaitable[dict[str, str]]]
) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["tokens"])

    @router.get("/tokens", summary="The tokens, and the sessions of the console")
    async def listed(_: Manager) -> TokensShown:
        uses = await last_uses()
        known = sorted(table.snapshot().values(), key=lambda one: one.created_at, reverse=True)
        return TokensShown(items=[_shown(one, uses.get(one.id)) for one in known])

    @router.post("/tokens", status_code=201, summary="Make a token")
    async def make(request: Request, body: TokenBody, principal: Manager) -> TokenMade:
        more = [scope for scope in body.scopes if scope not in principal.scopes]
        if more:
            raise Problem(403, f"a token without the scope {more[0]} makes none with it", field="scopes")
        if body.expires_at is not None and body.expires_at <= clock.now():
            raise Problem(422, "that is in the past", field="expires_at")
        ends = body.expires_at or principal.expires_at
        if ends is not None and principal.expires_at is not None and ends > principal.expires_at:
            raise Problem(
                422, f"the token that makes it ends at {clock.rfc3339(principal.expires_at)}", field="expires_at"
            )
        networks, masked = _within(body.networks, principal), body.masked or principal.masked
        if masked and "raw" in body.scopes:
            raise Problem(
                422, "the scope raw shows messages with their addresses: a masked token has none", field="masked"
            )
        text, made = new_token(body.name, list(body.scopes), body.domains, networks, ends, masked=masked)
        await audit.note(request, principal, AuditAction.TOKEN_CREATED, detail=f"{made.id} ({made.name})")
        await table.read_up_to(await writer.publish_at(token_record(made)))
        return TokenMade(token=text, id=made.id)

    @router.delete("/tokens/{id}", summary="Revoke a token, and its sessions with it; or end a session")
    async def revoke(
        request: Request, id: Annotated[str, Path(max_length=100, description="Its id.")], principal: Manager
    ) -> TokenShown:
        known = table.snapshot().get(id)
        if known is None:
            raise Problem(404, "there is no token with this id")
        if known.revoked_at is None:
            known = msgspec.structs.replace(known, revoked_at=clock.now())
            await audit.note(request, principal, AuditAction.TOKEN_REVOKED, detail=f"{known.id} ({known.name})")
            await table.read_up_to(await writer.publish_at(token_record(known)))
        return _shown(known, None)

    return router


def _within(networks: list[str], principal: Principal) -> list[str]:
    """These networks, which must be among those that the maker is limited to. Problem 422."""
    try:
        found = [ip_network(one) for one in networks]
    except ValueError as error:
        raise Problem(422, str(error), field="networks") from error
    for one in found:
        if principal.networks and not any(
            one.version == (outer := ip_network(allowed)).version and one.subnet_of(outer)  # type: ignore[arg-type]
            for allowed in principal.networks
        ):
            raise Problem(422, f"{one} is not within {', '.join(principal.networks)}", field="networks")
    return networks or list(principal.networks)


def _shown(token: Token, last_used: str | None) -> TokenShown:
    return TokenShown(
        id=token.id,
        name=token.name,
        scopes=token.scopes,
        domains=token.domains,
        networks=token.networks,
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=token.revoked_at,
        session_of=token.session_of or None,
        issuer=token.issuer or None,
        masked=token.masked,
        last_used_at=last_used,
    )
