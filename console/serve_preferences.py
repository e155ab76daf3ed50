"""What recipients wish, over the API (design section 5): no mail at all, or none of some streams."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from console.address_lists import whole_list
from console.answer_errors import Problem
from console.audit import Audit
from console.tokens import Principal
from contracts import clock
from contracts.audit import AuditAction
from contracts.changes import moment_after
from contracts.preferences import Preference, PreferenceChange
from mail.addresses import is_address
from runtime.publish import Publisher
from runtime.shared_list import Preferences

SOURCE = "mailscope/console"
Reader = Annotated[Principal, Depends(whole_list("read"))]
Manager = Annotated[Principal, Depends(whole_list("manage"))]
Address = Annotated[str, Path(description="The address; its case does not matter.")]


class PreferenceBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    private: bool = Field(False, description="The recipient wants no mail from us.")
    unsubscribed: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        [], max_length=100, description="Streams that the recipient wants no mail of; `*` is every stream."
    )


def preferences_router(preferences: Preferences, publisher: Publisher, audit: Audit) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1", tags=["preferences"])

    async def write(request: Request, principal: Principal, address: str, change: PreferenceChange) -> dict[str, Any]:
        said = [*(["private"] if change.private else []), *(f"no {one}" for one in change.streams)]
        detail = ", ".join(said) or ("forgotten" if change.action == "deleted" else "all mail is welcome")
        await audit.note(request, principal, AuditAction.PREFERENCE_CHANGED, recipient=address, detail=detail)
        return describe(await preferences.change(publisher, address, change, SOURCE))

    @router.get("/preferences/{address:path}", summary="What a recipient wishes")
    async def show(address: Address, _: Reader) -> dict[str, Any]:
        await preferences.ready()
        known = preferences.get(address)
        if known is None:
            raise Problem(404, f"nothing is known of {address}")
        return describe(known)

    @router.put("/preferences/{address:path}", summary="Write down what a recipient wishes")
    async def put(request: Request, address: Address, body: PreferenceBody, principal: Manager) -> dict[str, Any]:
        if not is_address(address):
            raise Problem(422, f"'{address[:200]}' is no mail address", field="address")
        streams = sorted(set(body.unsubscribed))
        await preferences.ready()
        known = preferences.get(address)
        at = moment_after(known.changes if known is not None else [], clock.now())
        return await write(request, principal, address, _set("set", at, principal.name, body.private, streams))

    @router.delete("/preferences/{address:path}", summary="Forget what a recipient wished: all mail is welcome again")
    async def delete(request: Request, address: Address, principal: Manager) -> dict[str, Any]:
        await preferences.ready()
        known = preferences.get(address)
        if known is None:
            raise Problem(404, f"nothing is known of {address}")
        at = moment_after(known.changes, clock.now())
        return await write(request, principal, address, _set("deleted", at, principal.name, False, []))

    return router


def describe(known: Preference) -> dict[str, Any]:
    """What is wished, as the API shows it, with its history."""
    return dict(msgspec.to_builtins(known))


def _set(action: str, at: datetime, by: str, private: bool, streams: list[str]) -> PreferenceChange:
    return PreferenceChange(action=action, at=at, by=by, private=private, streams=streams)
