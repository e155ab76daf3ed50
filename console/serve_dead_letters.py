"""Dead letters over the API (design section 5). They are of all domains, so a token that is limited to some may not see them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from console.address_lists import whole_list
from console.audit import Audit
from console.dead_letters import DeadLetters, LetterFilter
from console.tokens import Principal
from contracts.audit import AuditAction

MOST = 500  # dead letters of one replay
Reader = Annotated[Principal, Depends(whole_list("read"))]
RawReader = Annotated[Principal, Depends(whole_list("raw"))]
Manager = Annotated[Principal, Depends(whole_list("manage"))]
Stage = Annotated[str, Query(description="Only those of this stage.")]
Reason = Annotated[str, Query(description="Only those with this reason.")]
Topic = Annotated[str, Query(description="Only those that came from this topic.")]


class Letter(BaseModel):
    id: str = Field(description="Where it stands in `mail.deadletter`: partition and offset.")
    put_aside_at: str = Field(description="When.")
    stage: str = Field(description="By which stage.")
    reason: str = Field(description="Why, in one word.")
    detail: str = Field(description="Why, in words.")
    topic: str = Field(description="Where it came from.")
    partition: int = Field(description="Of that topic.")
    offset: int = Field(description="In that partition.")
    key: str = Field(description="Its key: a mail_id, for most topics.")
    size: int = Field(description="Octets of its value.")
    replayed_at: str | None = Field(description="When it was last published again; null: never.")


class Letters(BaseModel):
    items: list[Letter] = Field(description="The newest first.")
    next_cursor: str | None = Field(description="For the next page; null on the last one.")


class ReplayBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ids: list[str] | None = Field(None, max_length=MOST, description="These; null: those that the other fields name.")
    stage: str = Field("", description="Those of this stage that nobody has replayed.")
    reason: str = Field("", description="Those with this reason that nobody has replayed.")
    topic: str = Field("", description="Those that came from this topic and nobody has replayed.")
    preview: bool = Field(False, description="Only say which.")


class Replayed(BaseModel):
    preview: bool = Field(description="Nothing was done.")
    replayed: int = Field(description="How many were published again, or would be.")
    ids: list[str] = Field(description="Which.")
    more: bool = Field(description=f"There are more than {MOST}: call it again.")


def dead_letters_router(letters: DeadLetters, audit: Audit) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["dead letters"])

    @router.get("/dead-letters", summary="What could not be used, and why, newest first")
    async def listed(
        _: Reader,
        stage: Stage = "",
        reason: Reason = "",
        topic: Topic = "",
        waiting: Annotated[bool, Query(description="Only those that nobody has replayed.")] = False,
        limit: Annotated[int, Query(ge=1, le=500, description="Dead letters of a page.")] = 100,
        cursor: Annotated[str, Query(max_length=60, description="`next_cursor` of the page before.")] = "",
    ) -> Letters:
        items, following = await letters.page(LetterFilter(stage, reason, topic, waiting), limit, cursor)
        return Letters(items=[Letter.model_validate(one) for one in items], next_cursor=following)

    @router.get(
        "/dead-letters/{id}/value",
        summary="The untouched octets of one",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    async def value(
        request: Request, id: Annotated[str, Path(max_length=30, description="Its id.")], principal: RawReader
    ) -> Response:
        octets = await letters.value(id)
        await audit.note(request, principal, AuditAction.READ_RAW, detail=f"dead letter {id}")
        headers = {"Content-Disposition": f'attachment; filename="dead-letter-{id}.bin"'}
        return Response(octets, media_type="application/octet-stream", headers=headers)

    @router.post(
        "/dead-letters:replay",
        status_code=202,
        summary="Publish them again, where they came from",
        description="Mend the cause first. Nothing is logged twice: events have the ids that they would have had. But a command that is "
        "published again is done again.",
    )
    async def replay(request: Request, body: ReplayBody, principal: Manager) -> Replayed:
        return await replay_letters(letters, request, principal, body)

    return router


async def replay_letters(letters: DeadLetters, request: Request, principal: Principal, body: ReplayBody) -> Replayed:
    """Replay those that the body names, as the API and the page do. Problem 404 for an id that is not there."""
    if body.ids is not None or body.preview:
        return await _replay(letters, request, principal, body)
    async with letters.turn:  # two at once would take the same ones
        return await _replay(letters, request, principal, body)


async def _replay(letters: DeadLetters, request: Request, principal: Principal, body: ReplayBody) -> Replayed:
    names, following = body.ids, None
    if names is None:
        wanted = LetterFilter(body.stage, body.reason, body.topic, waiting=True)
        items, following = await letters.page(wanted, MOST, "")
        names = [one["id"] for one in items]
    if names and not body.preview:
        await letters.replay(request, principal, names)
    return Replayed(preview=body.preview, replayed=len(names), ids=names, more=following is not None)
