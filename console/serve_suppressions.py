"""The suppression list over the API (design section 5): who is on it and why, adding and removing, and CSV in and out.

The list is of all sending domains together, so a token that is limited to some of them may not see or change it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from console.address_lists import Asked, page_of, whole_list
from console.answer_errors import Problem
from console.export_mails import as_cell, as_lines
from console.read_suppressions import COLUMNS, ReadLine, read_suppressions
from console.tokens import Principal
from contracts import clock
from contracts.changes import key_of, moment_after
from contracts.suppressions import Suppression, SuppressionChange, SuppressionReason
from mail.addresses import is_address
from runtime.publish import Publisher
from runtime.shared_list import Suppressions

SOURCE = "mailscope/console"
IMPORT = "/api/v1/suppressions:import"
LARGEST_IMPORT = 16 << 20  # octets of CSV
AT_A_TIME = 500  # changes that are written side by side
MOST = 10_000  # addresses of one `:remove`
Reader = Annotated[Principal, Depends(whole_list("read"))]
Manager = Annotated[Principal, Depends(whole_list("manage"))]
Address = Annotated[str, Path(description="The address; its case does not matter.")]


class SuppressionBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    reason: SuppressionReason = Field(SuppressionReason.MANUAL, description="Why nothing shall be sent to it.")
    expires_at: AwareDatetime | None = Field(None, description="When it leaves the list by itself; null: never.")
    note: str = Field("", max_length=500, description="Anything, for people.")
    mail_id: str = Field("", max_length=36, description="The mail that is the evidence.")


class RemoveBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    addresses: list[str] = Field(max_length=MOST, description="Addresses to take off the list.")
    note: str = Field("", max_length=500, description="Why, for the history.")


def suppressions_router(suppressions: Suppressions, publisher: Publisher) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v1", tags=["suppressions"])

    async def change(address: str, change: SuppressionChange) -> Suppression:
        return await suppressions.change(publisher, address, change, SOURCE)

    async def remove(address: str, by: str, note: str) -> Suppression | None:
        """The entry without effect; None when it was not on the list."""
        await suppressions.ready()
        known = suppressions.get(address)
        if known is None or not known.active:
            return None
        at = moment_after(known.changes, clock.now())
        taken = SuppressionChange(action="removed", at=at, by=by, note=note, reason=known.reason)
        return await change(address, taken)

    @router.get("/suppressions", summary="Addresses that nothing is sent to")
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
        return {"items": [describe(entry, now) for entry in found], "next_cursor": following}

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
    async def put(address: Address, body: SuppressionBody, principal: Manager) -> dict[str, Any]:
        if not is_address(address):
            raise Problem(422, f"'{address[:200]}' is no mail address", field="address")
        now = clock.now()
        if body.expires_at is not None and body.expires_at <= now:
            raise Problem(422, "that is in the past", field="expires_at")
        await suppressions.ready()
        known = suppressions.get(address)
        at = moment_after(known.changes, now) if known is not None else now
        return describe(await change(address, _added(body, at, principal.name)), now)

    @router.delete("/suppressions/{address:path}", summary="Take an address off the list; nothing is sent again")
    async def delete(
        address: Address, principal: Manager, note: Annotated[str, Query(max_length=500, description="Why.")] = ""
    ) -> dict[str, Any]:
        entry = await remove(address, principal.name, note)
        if entry is None:
            raise Problem(404, f"{address} is not on the suppression list")
        return describe(entry, clock.now())

    @router.post("/suppressions:remove", summary="Take many addresses off the list")
    async def remove_many(body: RemoveBody, principal: Manager) -> dict[str, Any]:
        async def one(address: str) -> dict[str, Any]:
            entry = await remove(address, principal.name, body.note)
            return {"address": address, "result": "not_listed" if entry is None else "removed"}

        return _sum_up(await _in_turn(list(dict.fromkeys(body.addresses)), one))

    @router.post(
        "/suppressions:import",
        summary="Add many addresses from CSV",
        description=f"The body is CSV in UTF-8 with a heading of these columns, of which only address is needed: {', '.join(COLUMNS)}.",
        openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
    )
    async def take_in(request: Request, principal: Manager) -> dict[str, Any]:
        now = clock.now()
        lines = await asyncio.to_thread(read_suppressions, await request.body(), now, principal.name)

        async def one(line: ReadLine) -> dict[str, Any]:
            if line.change is None:
                return {"line": line.number, "address": line.address, "result": "error", "message": line.message}
            known = suppressions.get(line.address)
            if known is not None and known.holds(now) and known.reason is line.change.reason:
                return {"line": line.number, "address": line.address, "result": "known"}
            # What was said of it before holds until now.
            since = line.change.at if known is None else moment_after(known.changes, now)
            await change(line.address, msgspec.structs.replace(line.change, at=since))
            return {"line": line.number, "address": line.address, "result": "added"}

        await suppressions.ready()
        return _sum_up(await _in_turn(lines, one))

    @router.post(
        "/suppressions:export",
        summary="The list as CSV, streamed",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/csv": {}}}},
    )
    async def export(_: Reader) -> StreamingResponse:
        await suppressions.ready()
        headers = {"Content-Disposition": 'attachment; filename="suppressions.csv"'}
        return StreamingResponse(_as_csv(suppressions), media_type="text/csv; charset=utf-8", headers=headers)

    return router


def describe(entry: Suppression, now: datetime) -> dict[str, Any]:
    """An entry as the API shows it; `active`: nothing is sent to it."""
    shown = msgspec.to_builtins(msgspec.structs.replace(entry, active=entry.holds(now)))
    shown.pop("changes")
    return dict(shown)


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


async def _in_turn(items: Sequence[Any], one: Callable[[Any], Awaitable[dict[str, Any]]]) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    for start in range(0, len(items), AT_A_TIME):
        done += await asyncio.gather(*(one(item) for item in items[start : start + AT_A_TIME]))
    return done


def _sum_up(results: list[dict[str, Any]]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for one in results:
        counts[one["result"]] = counts.get(one["result"], 0) + 1
    return {"counts": counts, "results": results}


async def _as_csv(suppressions: Suppressions) -> AsyncIterator[bytes]:
    now, known = clock.now(), suppressions.snapshot()
    yield as_lines([list(COLUMNS)])
    addresses = await asyncio.to_thread(sorted, known)
    for start in range(0, len(addresses), AT_A_TIME):
        entries = [known[key_of(address)] for address in addresses[start : start + AT_A_TIME]]
        rows = [describe(entry, now) for entry in entries if entry.holds(now)]
        yield as_lines([[as_cell(row[name]) for name in COLUMNS] for row in rows])
