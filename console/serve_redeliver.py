"""Redelivering over the API (design section 5): one mail, or all that a search finds. With `preview` nothing is done."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from console.authorise import authorised
from console.parse_filters import parse_filters
from console.redeliver import Redeliveries
from console.serve_api import MailId
from console.tokens import Principal
from contracts import clock

MOST = 500  # rows of the log of one call
Manager = Annotated[Principal, Depends(authorised("manage"))]


class RedeliverBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    recipients: list[str] | None = Field(None, max_length=10_000, description="To whom; null: to all.")
    unblock: bool = Field(False, description="Take suppressed recipients off the suppression list first.")
    preview: bool = Field(False, description="Only say what would happen.")


class RedeliverSearchBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    q: str = Field(min_length=1, max_length=2000, description="A search, as of `GET /mails`: every row that it finds.")
    limit: int = Field(MOST, ge=1, le=MOST, description="Rows of one call.")
    cursor: str | None = Field(None, description="`next_cursor` of the call before: the rest of the search.")
    unblock: bool = Field(False, description="Take suppressed recipients off the suppression list first.")
    preview: bool = Field(False, description="Only say what would happen.")


class Redelivery(BaseModel):
    mail_id: str = Field(description="The mail.")
    recipient: str = Field(description="To whom.")
    status: str | None = Field(description="What the log says of it; null for one that it does not know.")
    result: Literal["redelivered", "would_be_redelivered", "refused"] = Field(description="What became of it.")
    message: str | None = Field(description="Why it is refused.")
    blocked: bool = Field(description="The suppression list alone keeps it, or would without `unblock`.")


class Redeliver(BaseModel):
    preview: bool = Field(description="Nothing was done.")
    redelivered: int = Field(description="How many were, or would be.")
    refused: int = Field(description="How many stay as they are.")
    items: list[Redelivery] = Field(description="One a mail and recipient.")
    next_cursor: str | None = Field(None, description="Of a search: for the rest; null when there is none.")


def redeliver_router(redeliveries: Redeliveries) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["redelivery"])

    @router.post(
        "/mails/{mail_id}/redeliver",
        status_code=202,
        summary="Send a mail again, or run it again",
        description="A new attempt for mail that failed, with the same mail_id: its history stays. What is redelivered is decided about by "
        "the rules of today (suppressions, quotas, routes). What has arrived, is still being tried, or is not kept any more is refused.",
    )
    async def redeliver(request: Request, mail_id: MailId, body: RedeliverBody, principal: Manager) -> Redeliver:
        found = await redeliveries.of_mail(
            request, principal, mail_id, body.recipients, preview=body.preview, unblock=body.unblock
        )
        return _sum_up(found, body.preview)

    @router.post(
        "/redeliver",
        status_code=202,
        summary="Send again what a search finds",
        description=f"Up to {MOST} rows a call, newest first; `next_cursor` goes on. As for one mail.",
    )
    async def redeliver_search(request: Request, body: RedeliverSearchBody, principal: Manager) -> Redeliver:
        found, following = await redeliveries.of_search(
            request,
            principal,
            parse_filters([("q", body.q)], clock.now()),
            body.cursor,
            body.limit,
            preview=body.preview,
            unblock=body.unblock,
        )
        return _sum_up(found, body.preview, following)

    return router


def _sum_up(found: list[dict[str, Any]], preview: bool, following: str | None = None) -> Redeliver:
    items = [Redelivery.model_validate(one) for one in found]
    refused = sum(one.result == "refused" for one in items)
    return Redeliver(
        preview=preview, redelivered=len(items) - refused, refused=refused, items=items, next_cursor=following
    )
