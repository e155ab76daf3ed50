"""Whether all that was taken is in the log, over the API."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from console.address_lists import whole_list
from console.parse_filters import parse_filters
from console.reconcile import MOST, Reconciler
from console.tokens import Principal
from contracts import clock

Reader = Annotated[Principal, Depends(whole_list("read"))]


class MissingMail(BaseModel):
    mail_id: str = Field(description="The mail.")
    received_at: str = Field(description="When it was received.")


class MissingKind(BaseModel):
    what: str = Field(
        description="`decision`: its message was taken, and nothing is known of it; `message`: it is in the log, its message is not."
    )
    mails: int = Field(description="How many mails.")
    named: list[MissingMail] = Field(description=f"The oldest {MOST} of them.")


class Reconciliation(BaseModel):
    since: str = Field(description="From when on mail was compared.")
    until: str = Field(description="Up to when: what is newer may still be on its way.")
    taken: int = Field(description="Mails whose messages were taken in this time.")
    missing: list[MissingKind] = Field(
        description="What the log misses; dead letters are not missing, and stand in `GET /system`."
    )


def reconciliation_router(reconciler: Reconciler) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["system"])

    @router.get("/reconciliation", summary="Whether all mail that was taken is in the log")
    async def reconciliation(
        _: Reader, since: Annotated[str, Query(description="Of mail received since then: RFC 3339, or `24h`.")] = "1h"
    ) -> Reconciliation:
        now = clock.now()
        low = parse_filters([("since", since)], now).since
        return Reconciliation.model_validate(await reconciler.compare(low or now))

    return router
