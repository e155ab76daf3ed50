"""The audit log over the API (design section 5): who read messages, redelivered, unblocked, exported, made tokens."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from console.address_lists import whole_list
from console.answer_errors import Problem
from console.audit import read_audit
from console.moment import Moment
from console.query_store import StoreQueries
from console.tokens import Principal
from contracts.audit import AuditAction
from contracts.ids import received_ms

Manager = Annotated[Principal, Depends(whole_list("manage"))]


class Act(BaseModel):
    id: str = Field(description="Its name.")
    at: str = Field(description="When it was done.")
    actor: str = Field(description="The name of the token that did it.")
    actor_id: str = Field(description="The id of that token or session.")
    action: AuditAction = Field(description="What was done.")
    mail_id: str = Field(description="The mail that it was done to; empty where it was none.")
    recipient: str = Field(description="The recipient or address that it was done to; empty where it was none.")
    detail: str = Field(description="What was asked for: a search, a number, a reason.")
    peer_ip: str = Field(description="From where.")


class Acts(BaseModel):
    items: list[Act] = Field(description="The acts, newest first.")
    next_cursor: str | None = Field(description="For the next page; null on the last one.")


def audit_router(queries: StoreQueries) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["audit"])

    @router.get("/audit", summary="Who did what with the log, newest first")
    async def audit(
        _: Manager,
        actor: Annotated[str, Query(description="Only what this token did, by its name.")] = "",
        action: Annotated[AuditAction | None, Query(description="Only acts of this kind.")] = None,
        mail_id: Annotated[str, Query(description="Only what was done to this mail.")] = "",
        recipient: Annotated[str, Query(description="Only what was done to this address.")] = "",
        since: Annotated[Moment | None, Query(description="Nothing older.")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="Acts of a page.")] = 100,
        cursor: Annotated[str, Query(max_length=36, description="`next_cursor` of the page before.")] = "",
    ) -> Acts:
        given = {"actor": actor, "action": action or "", "mail_id": mail_id, "recipient": recipient}
        filters = {name: value for name, value in given.items() if value}
        found = await read_audit(queries, filters, since, _canonical(cursor), limit + 1)
        more = len(found) > limit
        items = [Act.model_validate(one) for one in found[:limit]]
        return Acts(items=items, next_cursor=items[-1].id if more else None)

    return router


def _canonical(cursor: str) -> str:
    if not cursor:
        return ""
    try:
        received_ms(cursor)
        return str(uuid.UUID(cursor))
    except ValueError as error:
        raise Problem(422, "this cursor is not one of ours", field="cursor") from error
