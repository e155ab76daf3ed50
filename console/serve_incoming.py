"""The page of incoming mail: a channel's processing log, and of a custom mailbox its connection. It shows what the API answers."""

from datetime import date, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.arrange_gaps import arrange_gaps, lasted, share_up, span
from console.authorise import authorised
from console.read_channels import HOSTED, ChannelReader
from console.read_processing import ProcessingLog
from console.render_page import render
from console.search_mails import Cursor
from console.tokens import Principal
from contracts import clock
from contracts.events import WORKING
from contracts.statuses import INBOUND_STATUSES, Status

PAGE = 50
GAPS = 5000  # rows of the connectivity log that the strip of days is made of
SHOWN = 200  # of them that are listed
_needs_read = authorised("read")


def incoming_router(channels: ChannelReader, processing: ProcessingLog) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/incoming")
    async def incoming(request: Request) -> Response:
        principal = _needs_read(request)
        request.state.principal = principal
        parameters = {name: value for name, value in request.query_params.items() if value}
        now = clock.now()
        known = await channels.all(principal.domains)
        chosen = _choose(known, parameters.get("channel", ""))
        if chosen is None:
            return render(request, "incoming.html", channels=[], chosen=None, parameters=parameters, tone_of=tone_of)
        parameters["channel"] = chosen["name"]
        rows = [] if chosen["kind"] == HOSTED else await channels.connectivity(chosen["name"], principal.domains, GAPS)
        connectivity = chosen["kind"] != HOSTED and parameters.get("log") == "connectivity"
        page: dict[str, Any] = {"items": [], "following": None, "problem": None, "api": {}}
        status = 200
        try:
            page |= _gaps(rows, parameters, now) if connectivity else await _mails(processing, principal, parameters)
        except Problem as problem:
            if problem.status not in (400, 404, 422, 503):
                raise
            page["problem"], status = problem.message, problem.status
        days = arrange_gaps(rows, now)
        return render(
            request,
            "incoming.html",
            status,
            **page,
            channels=known,
            chosen=chosen,
            connectivity=connectivity,
            days=days,
            up=share_up(days, rows, now),
            first=rows[-1]["occurred_at"] if rows else None,
            span=span,
            statuses=[one.value for one in Status if one in INBOUND_STATUSES],
            parameters=parameters,
            filtered=any(name in parameters for name in ("from", "subject", "reference", "status", "since", "until")),
            tone_of=tone_of,
        )

    return router


def tone_of(state: str | None) -> str:
    """How the state of a channel is coloured; None: it has said nothing yet."""
    if state is None or state == HOSTED:
        return "calm" if state is None else "good"
    return "good" if state in WORKING else "bad"


def _choose(known: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """The channel of this name, or the first one. Problem 404 when it is not among them."""
    if not name:
        return known[0] if known else None
    found = next((one for one in known if one["name"] == name), None)
    if found is None:
        raise Problem(404, f"there is no channel '{name[:100]}'")
    return found


async def _mails(processing: ProcessingLog, principal: Principal, parameters: dict[str, str]) -> dict[str, Any]:
    asked = {**parameters, "until": _day_after(parameters.get("until", ""))}
    after = Cursor.decode(parameters["cursor"]) if "cursor" in parameters else None
    items, following = await processing.page(parameters["channel"], asked, principal.domains, PAGE, after)
    hidden = ("channel", "log", "day")
    return {
        "items": items,
        "following": following.encode() if following else None,
        "api": {name: value for name, value in asked.items() if name not in hidden},
    }


def _day_after(text: str) -> str:
    """People mean the whole of the last day that they name."""
    try:
        return (date.fromisoformat(text) + timedelta(days=1)).isoformat() if len(text) == 10 else text
    except (ValueError, OverflowError):
        return text


def _gaps(rows: list[dict[str, Any]], parameters: dict[str, str], now: datetime) -> dict[str, Any]:
    day = parameters.get("day", "")
    listed = [row for row in rows if not day or _touches(row, day, now)]
    items = [{**row, "lasted": lasted(row, now), "gap": row["state"] not in WORKING} for row in listed[:SHOWN]]
    return {"items": items, "more": len(listed) - len(items)}


def _touches(row: dict[str, Any], day: str, now: datetime) -> bool:
    """Whether it happened on this day (UTC), or lasted into it."""
    end = row["ended_at"] or (clock.rfc3339(now) if row["state"] not in WORKING else row["occurred_at"])
    return str(row["occurred_at"])[:10] <= day <= str(end)[:10]
