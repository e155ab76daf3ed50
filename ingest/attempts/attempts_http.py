"""What other mail servers did, over HTTP: `POST /api/v1/attempts` (design section 5). With it the log is complete, whoever delivers."""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from contracts import clock
from contracts.errors import Unavailable
from ingest.attempts.attempt_items import AttemptItem, InvalidItem, read_item, sender_domain
from ingest.attempts.record_attempts import AttemptRecorder
from ingest.send.limit_tokens import RateExceeded, TokenRates
from ingest.send.read_request import SendRoute

ATTEMPTS = "/api/v1/attempts"
LARGEST_REPORT = 8 << 20  # octets of a request
MAX_ITEMS = 1000


class Principal(Protocol):
    """Who asks, as the console's authorisation tells."""

    @property
    def id(self) -> str: ...

    @property
    def domains(self) -> Any: ...


class AttemptsBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    source: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="The mail server that reports, such as mx1: a filter of the log.",
    )
    items: list[dict[str, Any]] = Field(
        max_length=MAX_ITEMS,
        description="Attempts: `id` (the server's own name of the mail, such as a queue id), `time`, `from` and `to` (the envelope), "
        "`outcome` (accepted, temporary, permanent), and what is known of `message_id subject host ip tls command code enhanced_code text "
        "size reference tag`.",
        examples=[
            [
                {
                    "id": "4cK1xz3n2Kz",
                    "time": "2026-11-27T12:00:00Z",
                    "from": "news@example.com",
                    "to": "anna@example.net",
                    "outcome": "permanent",
                    "host": "mx.example.net",
                    "code": 550,
                    "enhanced_code": "5.1.1",
                    "text": "No such user",
                }
            ]
        ],
    )


class RejectedItem(BaseModel):
    index: int = Field(description="Which item, from 0.")
    message: str = Field(description="What is wrong with it.")


class AttemptsAnswer(BaseModel):
    accepted: int = Field(description="Items that are in the log, or were before.")
    rejected: list[RejectedItem] = Field(description="Items that are not, and why; the others are.")


def attempts_router(
    recorder: AttemptRecorder, authorised: Callable[..., Any], retention: timedelta, rates: TokenRates | None = None
) -> APIRouter:
    """The route. `authorised` is the dependency that demands a token with scope `send`; `rates` is what one token may report."""
    router = APIRouter(prefix="/api/v1", tags=["attempts"], route_class=SendRoute)

    @router.post(
        "/attempts", status_code=202, response_model=AttemptsAnswer, summary="Report what another mail server did"
    )
    async def attempts(body: AttemptsBody, principal: Annotated[Any, Depends(authorised)]) -> JSONResponse:
        try:
            if rates is not None:
                rates.take(principal.id, requests=1, recipients=len(body.items))
        except RateExceeded as why:
            return _error(429, "too_many_requests", str(why), {"Retry-After": str(math.ceil(why.seconds))})
        now = clock.now()
        items, rejected = _read(body.items, now, now - retention, frozenset(principal.domains))
        try:
            await recorder.record(body.source, items)
        except Unavailable as error:
            return _error(503, "unavailable", f"not written down, tell it again: {error}")
        return JSONResponse({"accepted": len(items), "rejected": rejected}, 202)

    return router


def _read(
    given: list[dict[str, Any]], now: datetime, oldest: datetime, domains: frozenset[str]
) -> tuple[list[AttemptItem], list[dict[str, Any]]]:
    items, rejected = [], []
    for index, one in enumerate(given):
        try:
            item = read_item(one, now, oldest)
            if domains and sender_domain(item) not in domains:
                raise InvalidItem(f"from: this token may not report for {sender_domain(item) or 'the null sender'}")
            items.append(item)
        except InvalidItem as why:
            rejected.append({"index": index, "message": str(why)})
    return items, rejected


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, "field": None}}, status, headers)
