"""Erasing an address over the API (GDPR Article 17). With `preview` nothing is done."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from console.address_lists import whole_list
from console.answer_errors import Problem
from console.erase import ErasureDesk
from console.tokens import Principal
from contracts import clock
from contracts.changes import key_of
from contracts.erasures import Erasure
from mail.addresses import is_address

Manager = Annotated[Principal, Depends(whole_list("manage"))]
Digest = Annotated[str, Path(description="`id` of the erasure.", pattern="^[0-9a-f]{64}$")]


class EraseBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    address: str = Field(min_length=3, max_length=320, description="The address; its case does not matter.")
    remove_from_lists: bool = Field(
        False,
        description="Take it off the suppression list and forget its preferences too. Otherwise both keep what protects the recipient, "
        "without notes, evidence and history.",
    )
    preview: bool = Field(False, description="Only say what is there.")


class Found(BaseModel):
    mails: int = Field(description="Mails for or from the address.")
    rows: int = Field(description="Their rows of the log, one a recipient.")
    messages: int = Field(description="Their messages.")
    blobs: int = Field(description="Of these, how many lie in the blob store.")
    suppressed: bool = Field(description="Whether the suppression list has an entry.")
    preference: bool = Field(description="Whether preferences of it are known.")


class HeldByKafka(BaseModel):
    topic: str = Field(description="A topic that may name the address.")
    until: str | None = Field(description="When what was written by now is gone at the latest; null: never.")
    compacted: bool = Field(description="What was written over is gone by then; the last record of a key stays.")


class ErasedCounts(BaseModel):
    mails: int = Field(description="Mails that were for or from the address.")
    rows: int = Field(description="Their rows of the log.")
    messages: int = Field(description="Messages: of these mails, and of those whose header named the address.")
    blobs: int = Field(description="Of these, how many lay in the blob store.")
    redacted: int = Field(description="Events of other mail in which the address was replaced.")
    dead_letters: int = Field(description="Dead letters that named it.")
    audit_entries: int = Field(description="Acts of the audit log in which it was replaced.")


class ErasureState(BaseModel):
    id: str = Field(description="A keyed digest of the address, which is not kept.")
    asked_at: str = Field(description="Mail that had come by then is erased.")
    by: str = Field(description="Name of the token.")
    done_at: str | None = Field(description="When it was done; null: not yet.")
    erased: ErasedCounts | None = Field(description="What was erased, by the run that finished; null: not yet.")


class Erasures(BaseModel):
    items: list[ErasureState] = Field(description="Newest first.")


class EraseAnswer(BaseModel):
    preview: bool = Field(description="Nothing was done.")
    found: Found = Field(description="What was there when it was asked.")
    erasure: ErasureState | None = Field(description="What was asked for; null for a preview.")
    kafka: list[HeldByKafka] = Field(description="What Kafka holds beside the log, and until when.")


def erasures_router(desk: ErasureDesk) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1", tags=["erasure"])

    @router.post(
        "/addresses:erase",
        status_code=202,
        summary="Erase an address from the log",
        description="All mail that has come for or from it: rows, events, messages, large messages, dead letters. In other mail and in the "
        "audit log the address is replaced by `[erased]`. Nothing brings it back while Kafka still holds it. For a token of all domains.",
    )
    async def erase(request: Request, body: EraseBody, principal: Manager) -> EraseAnswer:
        address = key_of(body.address)
        if not is_address(address):
            raise Problem(422, f"'{address[:200]}' is no mail address", field="address")
        found, kafka = await desk.preview(address), await desk.held_by_kafka()
        asked = None
        if not body.preview:
            asked = await desk.ask(request, principal, address, remove_from_lists=body.remove_from_lists)
        return EraseAnswer(
            preview=body.preview,
            found=Found.model_validate(found),
            erasure=_state(asked) if asked is not None else None,
            kafka=[HeldByKafka.model_validate(one) for one in kafka],
        )

    @router.get("/erasures", summary="Erasures, done and not done yet")
    async def every(_: Manager) -> Erasures:
        return Erasures(items=[_state(one) for one in await desk.every()])

    @router.get("/erasures/{digest}", summary="What has become of an erasure")
    async def one(digest: Digest, _: Manager) -> ErasureState:
        return _state(await desk.find(digest))

    return router


def _state(one: Erasure) -> ErasureState:
    return ErasureState(
        id=one.digest,
        asked_at=clock.rfc3339(one.asked_at),
        by=one.by,
        done_at=clock.rfc3339(one.done_at) if one.done_at is not None else None,
        erased=ErasedCounts(**{name: getattr(one.erased, name) for name in one.erased.__struct_fields__})
        if one.erased
        else None,
    )
