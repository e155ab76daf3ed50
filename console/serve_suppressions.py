"""The suppression list over the API (design section 5): who is on it and why, adding and removing, and CSV in and out.

The list is of all sending domains together, so a token that is limited to some of them may not see or change it.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from console.address_lists import Asked, page_of, whole_list
from console.answer_errors import Problem
from console.audit import Audit
from console.change_suppressions import AT_A_TIME, SuppressionDesk, describe, note_unblocked
from console.count_stopped import StoppedMails
from console.export_mails import as_cell, as_lines
from console.moment import Moment
from console.read_suppressions import COLUMNS
from console.tokens import Principal
from contracts import clock
from contracts.audit import AuditAction
from contracts.changes import key_of, moment_after
from contracts.suppressions import Suppression, SuppressionChange, SuppressionReason
from mail.addresses import is_address
from runtime.shared_list import Suppressions

IMPORT = "/api/v1/suppressions:import"
LARGEST_IMPORT = 16 << 20  # octets of CSV
MOST = 10_000  # addresses of one `:remove`
Reader = Annotated[Principal, Depends(whole_list("read"))]
Manager = Annotated[Principal, Depends(whole_list("manage"))]
Address = Annotated[str, Path(description="The address; its case does not matter.")]


class SuppressionBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: SuppressionReason = Field(SuppressionReason.MANUAL, description="Why nothing shall be sent to it.")
    expires_at: Moment | None = Field(None, description="When it leaves the list by itself; null: never.")
    note: str = Field("", max_length=500, description="Anything, for people.")
    mail_id: str = Field("", max_length=36, description="The mail that is the evidence.")


class RemoveBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    addresses: list[str] = Field(max_length=MOST, description="Addresses to take off the list.")
    note: str = Field("", max_length=500, description="Why, for the history.")


def suppressions_router(desk: SuppressionDesk, stopped: StoppedMails, audit: Audit) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1", tags=["suppressions"])
    suppressions = desk.suppressions

    @router.get(
        "/suppressions",
        summary="Addresses that nothing is sent to",
        description="`stopped`: mails that the list has stopped since the address is on it, as far back as the log goes; null where "
        "they cannot be counted now.",
    )
    async def listed(
        _: Reader,
        address: Annotated[str, Query(description="A whole address, `user@` or `@domain`.")] = "",
        reason: Annotated[SuppressionReason | None, Query(description="Only those with this reason.")] = None,
        limit: Annotated[int, Query(ge=1, le=500, description="Entries of a page.")] = 100,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> dict[str, Any]:
        await suppressions.ready()
        now = clock.now()

        def shown(entry: Suppression) -> bool:
            return entry.holds(now) and (reason is None or entry.reason is reason)

        found, following = await asyncio.to_thread(
            page_of, suppressions.snapshot(), Asked(address, shown, limit, cursor)
        )
        counts = await stopped.count(found)
        items = [{**describe(entry, now), "stopped": counts[entry.address]} for entry in found]
        return {"items": items, "next_cursor": following}

    @router.get("/suppressions/{address:path}/history", summary="Who did what about an address, newest first")
    async def history(address: Address, _: Reader) -> dict[str, Any]:
        await suppressions.ready()
        entry = _known(suppressions.get(address), address)
        return {"items": [msgspec.to_builtins(one) for one in reversed(entry.changes)]}

    @router.get("/suppressions/{address:path}", summary="What is known of one address")
    async def show(address: Address, _: Reader) -> dict[str, Any]:
        await suppressions.ready()
        return describe(_known(suppressions.get(address), address), clock.now())

    @router.put("/suppressions/{address:path}", summary="Send nothing to an address")
    async def put(request: Request, address: Address, body: SuppressionBody, principal: Manager) -> dict[str, Any]:
        if not is_address(address):
            raise Problem(422, f"'{address[:200]}' is no mail address", field="address")
        now = clock.now()
        if body.expires_at is not None and body.expires_at <= now:
            raise Problem(422, "that is in the past", field="expires_at")
        await audit.note(request, principal, AuditAction.SUPPRESSED, recipient=address, detail=body.reason)
        await suppressions.ready()
        known = suppressions.get(address)
        at = moment_after(known.changes, now) if known is not None else now
        return describe(await desk.add(address, _added(body, at, principal.name)), now)

    @router.delete("/suppressions/{address:path}", summary="Take an address off the list; nothing is sent again")
    async def delete(
        request: Request,
        address: Address,
        principal: Manager,
        note: Annotated[str, Query(max_length=500, description="Why.")] = "",
    ) -> dict[str, Any]:
        await note_unblocked(audit, request, principal, [address], note)
        entry = await desk.remove(address, principal.name, note)
        if entry is None:
            raise Problem(404, f"{address} is not on the suppression list")
        return describe(entry, clock.now())

    @router.post("/suppressions:remove", summary="Take many addresses off the list")
    async def remove_many(request: Request, body: RemoveBody, principal: Manager) -> dict[str, Any]:
        await note_unblocked(audit, request, principal, body.addresses, body.note)
        return await desk.remove_many(body.addresses, principal.name, body.note)

    @router.post(
        "/suppressions:import",
        summary="Add many addresses from CSV",
        description=f"The body is CSV in UTF-8 with a heading of these columns, of which only address is needed: {', '.join(COLUMNS)}.",
        openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def take_in(request: Request, principal: Manager) -> dict[str, Any]:
        octets = await request.body()
        await audit.note(request, principal, AuditAction.SUPPRESSED, detail=f"a file of {len(octets)} octets")
        return await desk.take_in(octets, principal.name)

    @router.post(
        "/suppressions:export",
        summary="The list as CSV, streamed",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/csv": {}}}},
    )
    async def export(request: Request, principal: Reader) -> StreamingResponse:
        await suppressions.ready()
        await audit.note(request, principal, AuditAction.EXPORTED, detail="the suppression list")
        headers = {"Content-Disposition": 'attachment; filename="suppressions.csv"'}
        return StreamingResponse(_as_csv(suppressions), media_type="text/csv; charset=utf-8", headers=headers)

    return router


def _known(entry: Suppression | None, address: str) -> Suppression:
    if entry is None:
        raise Problem(404, f"nothing is known of {address}")
    return entry


def _added(body: SuppressionBody, at: datetime, by: str) -> SuppressionChange:
    return SuppressionChange(
        action="added",
        at=at,
        by=by,
        reason=body.reason,
        expires_at=body.expires_at,
        note=body.note,
        mail_id=body.mail_id,
    )


async def _as_csv(suppressions: Suppressions) -> AsyncIterator[bytes]:
    now, known = clock.now(), suppressions.snapshot()
    yield as_lines([list(COLUMNS)])
    addresses = await asyncio.to_thread(sorted, known)
    for start in range(0, len(addresses), AT_A_TIME):
        entries = [known[key_of(address)] for address in addresses[start : start + AT_A_TIME]]
        rows = [describe(entry, now) for entry in entries if entry.holds(now)]
        yield as_lines([[as_cell(row[name]) for name in COLUMNS] for row in rows])
