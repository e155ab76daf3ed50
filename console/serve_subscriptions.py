"""Status webhooks over the API. They are of all domains, so a token that is limited to some may not see them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from console.address_lists import whole_list
from console.moment import Moment
from console.read_subscriptions import CallFilter, SubscriptionReader
from console.tokens import Principal
from contracts.statuses import Direction, Status
from contracts.subscriptions import CallOutcome, SubscriberHealth

Reader = Annotated[Principal, Depends(whole_list("read"))]


class SubscriberCallShown(BaseModel):
    event_id: str = Field(description="The `webhook-id`, and the `id` of the event.")
    mail_id: str = Field(description="The mail whose status changed.")
    status: Status = Field(description="To what.")
    attempt: int = Field(description="Which call for this event it was; counted anew after a restart.")
    outcome: CallOutcome = Field(description="What came of it.")
    code: int | None = Field(description="HTTP status; null: nobody answered.")
    text: str | None = Field(description="What was answered, or why nobody did; addresses are left out.")
    started_at: str = Field(description="When it began.")
    duration_ms: int = Field(description="How long it took.")
    next_attempt_at: str | None = Field(description="When the event is tried again; null: nothing is left to try.")


class CallCounts(BaseModel):
    taken: int = Field(description="Calls that were taken.")
    failed: int = Field(description="Calls that were not.")
    put_aside: int = Field(description="Events that became dead letters.")


class SubscriptionShown(BaseModel):
    name: str = Field(description="As mailscope.yaml names it.")
    host: str = Field(description="Whose URL is called; the rest of it may hold a secret.")
    events: list[Status] = Field(description="Only changes to these; empty: to any status.")
    directions: list[Direction] = Field(description="Only this mail; empty: both ways.")
    domains: list[str] = Field(description="Only mail of these domains of ours; empty: of any.")
    health: SubscriberHealth | None = Field(description="How the subscriber is doing; null: it was never called.")
    failing_since: str | None = Field(description="Since when it has taken nothing; null: it does.")
    last_call: SubscriberCallShown | None = Field(description="The call that ended last.")
    last_hour: CallCounts = Field(description="Calls of the last hour.")
    waiting: int | None = Field(description="Records that wait to be looked at; null: Kafka does not say.")
    behind_seconds: float | None = Field(description="For how long the oldest of them has waited.")


class Subscriptions(BaseModel):
    items: list[SubscriptionShown] = Field(description="In the order of mailscope.yaml.")


class Deliveries(BaseModel):
    items: list[SubscriberCallShown] = Field(description="The newest first.")
    next_cursor: str | None = Field(description="For the next page; null on the last one.")


def subscriptions_router(reader: SubscriptionReader) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["subscriptions"])

    @router.get("/subscriptions", summary="Who is called at changes of status, and how each is doing")
    async def subscriptions(_: Reader) -> Subscriptions:
        return Subscriptions.model_validate({"items": await reader.all()})

    @router.get(
        "/subscriptions/{name}/deliveries",
        summary="What a subscriber was called for, and what came of it, newest first",
        description="One row a call. A call that was made twice, because the process that made it was killed, is there twice.",
    )
    async def deliveries(
        name: Annotated[str, Path(description="The subscription, as mailscope.yaml names it.")],
        _: Reader,
        outcome: Annotated[CallOutcome | None, Query(description="Only calls that came to this.")] = None,
        mail_id: Annotated[str, Query(max_length=36, description="Only calls about this mail.")] = "",
        since: Annotated[Moment | None, Query(description="Nothing older.")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="Rows of a page.")] = 100,
        cursor: Annotated[str, Query(max_length=500, description="`next_cursor` of the page before.")] = "",
    ) -> Deliveries:
        items, following = await reader.calls(name, CallFilter(outcome or "", mail_id, since), limit, cursor)
        return Deliveries.model_validate({"items": items, "next_cursor": following})

    return router
