"""The pages of the suppression list: find an address, see why it is on it and how many mails that has stopped, unblock, import.

What changes something is a form of a page: it demands a session with the scope manage, and that it comes from this site.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import RedirectResponse, Response

from console.address_lists import Asked, addresses_of, page_of, whole_list, whole_list_of_form
from console.answer_errors import Problem
from console.audit import Audit
from console.change_suppressions import SuppressionDesk, describe, note_unblocked
from console.count_stopped import StoppedMails
from console.render_page import query, render
from console.serve_login import local_path
from console.tokens import Principal
from contracts import clock
from contracts.audit import AuditAction
from contracts.settings import Settings
from contracts.suppressions import Suppression, SuppressionReason
from mail.addresses import is_address

PAGE = 50
IMPORT = "/suppressions/import"
LARGEST_IMPORT = 1 << 20  # octets of such a form; the API takes more
MOST = 10_000  # addresses that are unblocked at a time
SHOWN = 500  # results that are listed
_needs_list = whole_list("read")
_manages_list = whole_list_of_form("manage")


def suppression_pages_router(
    desk: SuppressionDesk, stopped: StoppedMails, settings: Settings, audit: Audit
) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)
    suppressions = desk.suppressions

    def manager(request: Request) -> Principal:
        request.state.principal = principal = _manages_list(request)
        return principal

    async def matching(address: str, reason: str) -> list[str]:
        await suppressions.ready()
        shown = _shown(reason, clock.now())
        return await asyncio.to_thread(addresses_of, suppressions.snapshot(), address, shown)

    @router.get("/suppressions")
    async def listed(request: Request) -> Response:
        request.state.principal = _needs_list(request)
        parameters = {name: value for name, value in request.query_params.items() if value}
        address, reason = parameters.get("address", "").strip(), parameters.get("reason", "")
        await suppressions.ready()
        now = clock.now()
        asked = Asked(address, _shown(reason, now), PAGE, parameters.get("cursor"))
        entries, following = await asyncio.to_thread(page_of, suppressions.snapshot(), asked)
        counts = await stopped.count(entries)
        opened = suppressions.get(parameters["open"]) if "open" in parameters else None
        return render(
            request,
            "suppressions.html",
            items=[{**describe(one, now), "stopped": counts[one.address]} for one in entries],
            following=following,
            total=len(await matching(address, reason)),
            opened=opened.address if opened is not None else None,
            history=[msgspec.to_builtins(one) for one in reversed(opened.changes)] if opened is not None else [],
            former=opened if opened is not None and opened.address not in {one.address for one in entries} else None,
            reasons=[one.value for one in SuppressionReason],
            most=MOST,
            parameters=parameters,
        )

    @router.post("/suppressions/preview")
    async def preview(
        request: Request,
        addresses: Annotated[list[str] | None, Form()] = None,
        only: Annotated[str, Form()] = "",
        all: Annotated[bool, Form()] = False,
        address: Annotated[str, Form()] = "",
        reason: Annotated[str, Form()] = "",
    ) -> Response:
        manager(request)
        found = await matching(address, reason) if all else [only] if only else addresses or []
        now = clock.now()
        known = [entry for one in found if (entry := suppressions.get(one)) is not None and entry.holds(now)]
        return render(
            request,
            "unblock.html",
            entries=[describe(one, now) for one in known[:SHOWN]],
            count=len(known),
            all=all,
            address=address,
            reason=reason,
            back=_back(address, reason),
        )

    @router.post("/suppressions/unblock")
    async def unblock(
        request: Request,
        addresses: Annotated[list[str] | None, Form()] = None,
        all: Annotated[bool, Form()] = False,
        address: Annotated[str, Form()] = "",
        reason: Annotated[str, Form()] = "",
        note: Annotated[str, Form(max_length=500)] = "",
        next: Annotated[str, Form()] = "",
    ) -> Response:
        principal = manager(request)
        found = await matching(address, reason) if all else addresses or []
        if len(found) > MOST:
            raise Problem(422, f"at most {MOST} addresses at a time: narrow the search")
        await note_unblocked(audit, request, principal, found, note)
        done = await desk.remove_many(found, principal.name, note)
        if next:
            return RedirectResponse(local_path(next), 303)
        return _results(request, "Unblocked", done, _back(address, reason))

    @router.get(IMPORT)
    async def form(request: Request) -> Response:
        request.state.principal = _needs_list(request)
        return render(request, "import.html", problem=None, text="")

    @router.post(IMPORT)
    async def take_in(
        request: Request, text: Annotated[str, Form()] = "", file: Annotated[UploadFile | None, File()] = None
    ) -> Response:
        principal = manager(request)
        octets = await file.read() if file is not None and file.size else text.encode()
        try:
            await audit.note(request, principal, AuditAction.SUPPRESSED, detail=f"a file of {len(octets)} octets")
            done = await desk.take_in(_with_heading(octets), principal.name)
        except Problem as problem:
            return render(request, "import.html", problem.status, problem=problem.message, text=text)
        return _results(request, "Imported", done, "/suppressions")

    @router.get("/suppressions/{_step}")
    async def elsewhere(_step: str) -> Response:
        """Who logs in again in the middle of something begins anew."""
        return RedirectResponse("/suppressions", 303)

    return router


def _shown(reason: str, now: datetime) -> Callable[[Suppression], bool]:
    if reason and reason not in frozenset(SuppressionReason):
        raise Problem(422, f"'{reason[:50]}' is no reason", field="reason")
    return lambda entry: entry.holds(now) and (not reason or entry.reason == reason)


def _back(address: str, reason: str) -> str:
    return "/suppressions" + query({"address": address, "reason": reason}).rstrip("?")


def _results(request: Request, what: str, done: dict[str, Any], back: str) -> Response:
    results = sorted(done["results"], key=lambda one: one["result"] != "error")  # what needs a hand stands first
    shown = results[:SHOWN]
    return render(
        request, "results.html", what=what, counts=done["counts"], results=shown, total=len(results), back=back
    )


def _with_heading(octets: bytes) -> bytes:
    """Addresses one a line are CSV without its heading."""
    first = octets.lstrip(b"\xef\xbb\xbf \r\n").split(b"\n", 1)[0].decode("utf-8", "replace").strip()
    return b"address\n" + octets if is_address(first) else octets
