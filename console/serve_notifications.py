"""The page of customer notifications: did this person get the invitation, and why not. It shows what the API answers."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.authorise import authorised
from console.conditions import Condition
from console.name_failure import FAILED, name_failure
from console.parse_filters import Filters, parse_filters
from console.render_page import render
from console.search_mails import Cursor, Search
from console.tokens import Principal
from contracts import clock
from contracts.statuses import Direction
from contracts.suppressions import Suppression
from runtime.shared_list import Suppressions

PAGE = 50
LAST = 6  # mails of the recipient that an unfolded row shows
STREAMS = {"invitation": "Customer invitations", "request-notification": "Request notifications", "": "All outbound"}
FILTERS = ("to", "reference", "since", "until")
_needs_read = authorised("read")


def notifications_router(search: Search, suppressions: Suppressions) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/notifications")
    async def notifications(request: Request) -> Response:
        principal = _needs_read(request)
        request.state.principal = principal
        parameters = {name: value for name, value in request.query_params.items() if value}
        stream = request.query_params.get("stream", "invitation")
        parameters["stream"] = stream if stream in STREAMS else "all"
        page: dict[str, Any] = {"items": [], "following": None, "problem": None, "api": {}}
        status = 200
        try:
            page |= await _list(search, principal, parameters)
        except Problem as problem:
            if problem.status not in (400, 422, 503):
                raise
            page["problem"], status = problem.message, problem.status
        opened = next((one for one in page["items"] if key_of_row(one) == parameters.get("open")), None)
        return render(
            request,
            "notifications.html",
            status,
            **page,
            streams=[(name or "all", label) for name, label in STREAMS.items()],
            parameters=parameters,
            filtered=any(name in parameters for name in FILTERS),
            opened=key_of_row(opened) if opened is not None else None,
            last=await _last(search, principal, opened) if opened is not None else [],
            listed=await _listed(suppressions, principal, opened) if opened is not None else None,
            name_failure=name_failure,
            key_of_row=key_of_row,
        )

    return router


def key_of_row(item: dict[str, Any]) -> str:
    """By what a row is opened."""
    return f"{item['mail_id']} {item['recipient']}"


async def _list(search: Search, principal: Principal, parameters: dict[str, str]) -> dict[str, Any]:
    asked = {name: parameters[name] for name in FILTERS if name in parameters} | {"direction": Direction.OUTBOUND.value}
    if parameters["stream"] != "all":
        asked["stream"] = parameters["stream"]
    if parameters.get("show") != "all":
        asked["status"] = ",".join(FAILED)
    after = Cursor.decode(parameters["cursor"]) if "cursor" in parameters else None
    filters = parse_filters(list(asked.items()), clock.now())
    items, following = await search.page(filters, principal.domains, PAGE, after)
    return {"items": items, "following": following.encode() if following else None, "api": asked}


async def _last(search: Search, principal: Principal, item: dict[str, Any]) -> list[dict[str, Any]]:
    """What else was sent to the recipient, newest first."""
    terms = (Condition("to", (item["recipient"].lower(),)), Condition("direction", (Direction.OUTBOUND.value,)))
    try:
        items, _ = await search.page(Filters(terms), principal.domains, LAST + 1, None)
    except Problem:  # too many to look through: the row is shown without them
        return []
    return [one for one in items if one["mail_id"] != item["mail_id"]][:LAST]


async def _listed(suppressions: Suppressions, principal: Principal, item: dict[str, Any]) -> dict[str, Any] | None:
    """What the suppression list says of the recipient, to whom may see it (it is of all domains)."""
    if principal.domains:
        return None
    await suppressions.ready()
    known = suppressions.get(item["recipient"])
    return _described(known, clock.now()) if known is not None else None


def _described(known: Suppression, now: datetime) -> dict[str, Any]:
    last = known.changes[-1]
    return {
        "address": known.address,
        "holds": known.holds(now),
        "reason": known.reason.value,
        "since": clock.rfc3339(known.since),
        "by": last.by,
        "unblocked": last.action == "removed",
        "at": clock.rfc3339(last.at),
    }
