"""The pages: the log as a list, and one mail with what happened to it and why. They show what the API answers."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.arrange_mail import arrange_checks, arrange_timeline
from console.audit import Audit
from console.authorise import authorised
from console.conditions import COLUMNS, TIMES, Term
from console.explain_search import describe, suggest, write_query
from console.parse_filters import Filters, parse_filters
from console.read_mail import MailReader
from console.render_page import render
from console.search_mails import Cursor, Search
from console.serve_message import attachment_name
from console.tokens import Principal
from contracts import clock
from contracts.audit import AuditAction
from contracts.settings import Settings
from contracts.statuses import EVENTS_ONLY, INBOUND_STATUSES, OUTBOUND_STATUSES, Direction, Status
from mail.addresses import split_address
from mail.bounce_address import BounceAddresses
from mail.read_body import Body
from runtime.load_secret import load_secret

PAGE = 50
MAX_PREVIEW = 10 << 20  # octets of a message that a page takes apart; larger ones can be downloaded
MAX_RECIPIENTS = 100  # outcomes on one page; the JSON has all
MAX_TIMELINE = 300  # events on one page
MAX_TEXT = 256 << 10  # characters of the text on one page; the download has all
MAX_PARTS = 6  # of a search that found nothing, that are counted; each for a second at most
LAGS = 30  # seconds behind after which the page says so loudly
_needs_read = authorised("read")


def pages_router(search: Search, reader: MailReader, settings: Settings, audit: Audit) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def log(request: Request) -> Response:
        principal = _needs_read(request)
        request.state.principal = principal
        parameters = {name: value for name, value in request.query_params.items() if value}
        page: dict[str, Any] = {"items": [], "following": None, "counts": None, "problem": None}
        page |= {"read_as": [], "suggestions": [], "parts": []}
        status = 200
        try:
            page |= await _list(search, principal, parameters)
        except Problem as problem:
            if problem.status not in (400, 422, 503):
                raise
            page["problem"], status = problem.message, problem.status
        complete = await search.complete_until()
        return render(
            request,
            "log.html",
            status,
            **page,
            **_choices(parameters),
            parameters=parameters,
            complete_until=complete,
            lag=_lag(complete),
            example=example_recipient(settings),
            smtp=f"{settings.smtp.host}:{settings.smtp.port}",
            retention_days=settings.store.retention.days,
        )

    @router.get("/mails/{mail_id}")
    async def mail(request: Request, mail_id: str) -> Response:
        principal = _needs_read(request)
        request.state.principal = principal
        async with reader.page_turns:
            found = await reader.read(mail_id, principal.domains)
            add_wire_senders(found, settings)
            return render(
                request,
                "mail.html",
                mail=found,
                shown=found["recipients"][:MAX_RECIPIENTS],
                timeline=arrange_timeline(found, MAX_TIMELINE),
                max_text=MAX_TEXT,
                checks=arrange_checks(found["auth"]),
                flags=(found["auth"] or {}).get("flags", []),
                **await _content(request, reader, principal, found, audit),
            )

    return router


def add_wire_senders(mail: dict[str, Any], settings: Settings) -> None:
    """The bounce address that each outbound recipient's server saw last, which names the mail (VERP)."""
    if mail["direction"] != Direction.OUTBOUND:
        return
    bounces = BounceAddresses(load_secret(settings))
    rounds: dict[str, int] = {}
    for event in mail["events"]:
        if event["attempt"]:
            rounds[event["recipient"]] = event.get("round", 0)
    for item in mail["recipients"][:MAX_RECIPIENTS]:
        domain = split_address(item["envelope_from"])[1]
        if domain and item["recipient"] in rounds and not item["source"]:
            item["wire_sender"] = bounces.verp(mail["mail_id"], item["recipient"], domain, rounds[item["recipient"]])


async def _list(search: Search, principal: Principal, parameters: dict[str, str]) -> dict[str, Any]:
    now = clock.now()
    given = [(name, value) for name, value in parameters.items() if name not in ("cursor", "live")]
    filters = parse_filters(given, now)
    after = Cursor.decode(parameters["cursor"]) if "cursor" in parameters else None
    items, following = await search.page(filters, principal.domains, PAGE, after)
    others = parse_filters([pair for pair in given if pair[0] != "status"], now)
    line = parameters.get("q", "")
    in_line = parse_filters([("q", line)], now).terms
    return {
        "items": items,
        "read_as": [describe(term) for term in in_line],
        "suggestions": suggest(line),
        "parts": await _parts(search, principal, parameters, in_line, now) if not items and after is None else [],
        "following": following.encode() if following else None,
        "counts": await search.counts(others, principal.domains),
    }


async def _parts(
    search: Search, principal: Principal, parameters: dict[str, str], in_line: tuple[Term, ...], now: datetime
) -> list[dict[str, Any]]:
    """Each part of a search that found nothing, `in_line` those of its line: how many it finds alone, and the parameters without it."""
    times = [(name, parameters[name]) for name in TIMES if name in parameters]
    asked = parse_filters([("q", parameters.get("q", "")), *times], now)
    parts: list[tuple[Term, dict[str, str | None]]] = [
        (term, {"q": write_query(in_line[:place] + in_line[place + 1 :]) or None}) for place, term in enumerate(in_line)
    ]
    for name in COLUMNS:
        if name in parameters:
            parts += [(term, {name: None}) for term in parse_filters([(name, parameters[name])], now).terms]
    if len(parts) + len(times) < 2:
        return []
    return [
        {
            "said": describe(term),
            "count": await search.count(Filters((term,), asked.since, asked.until), principal.domains),
            "without": {**without, "cursor": None},
        }
        for term, without in parts[:MAX_PARTS]
    ]


def _choices(parameters: dict[str, str]) -> dict[str, Any]:
    """The statuses to choose from, and those that are chosen."""
    chosen = [one for one in parameters.get("status", "").split(",") if one]
    statuses = {
        Direction.INBOUND.value: [one for one in Status if one in INBOUND_STATUSES],
        Direction.OUTBOUND.value: [one for one in Status if one in OUTBOUND_STATUSES],
    }.get(parameters.get("direction", ""), [one for one in Status if one not in EVENTS_ONLY])
    chips = []
    for status in statuses:
        toggled = [one for one in chosen if one != status] if status in chosen else [*chosen, status.value]
        chips.append({"status": status.value, "on": status in chosen, "then": ",".join(toggled)})
    filtered = any(name in (*COLUMNS, *TIMES, "q") for name in parameters)
    return {"chips": chips, "filtered": filtered}


def _lag(complete_until: str | None) -> int | None:
    """Whole seconds by which the log is behind, when that is worth saying."""
    if complete_until is None:
        return None
    behind = (clock.now() - datetime.fromisoformat(complete_until)).total_seconds()
    return int(behind) if behind > LAGS else None


async def _content(
    request: Request, reader: MailReader, principal: Principal, mail: dict[str, Any], audit: Audit
) -> dict[str, Any]:
    """What the page shows of the message itself, or why it does not."""
    nothing: dict[str, Any] = {"body": None, "attachments": [], "no_content": ""}
    if "raw" not in principal.scopes:
        return {**nothing, "no_content": "Your token does not have the scope raw, so the message itself is not shown."}
    if not mail["size"]:
        return {**nothing, "no_content": "It was refused before its message came: there is nothing to show."}
    if mail["size"] > MAX_PREVIEW:
        return {**nothing, "no_content": "The message is too large for a preview: download it instead."}
    try:
        body = await reader.body(mail["mail_id"], principal.domains)
    except Problem as problem:
        return {**nothing, "no_content": f"{problem.message[:1].upper()}{problem.message[1:]}."}
    await audit.note(request, principal, AuditAction.READ_RAW, mail_id=mail["mail_id"], detail="on its page")
    return {"body": body, "attachments": _attachments(body), "no_content": ""}


def _attachments(body: Body) -> list[dict[str, Any]]:
    return [
        {"number": number, "name": attachment_name(one, number), "type": one.type, "size": len(one.content)}
        for number, one in enumerate(body.attachments, 1)
    ]


def example_recipient(settings: Settings) -> str:
    """An address that this configuration takes mail for, to try it with."""
    for route in settings.inbound.routes:
        if route.match.to and "*" not in route.match.to and route.reject is None:
            return route.match.to
    domain = next(iter(settings.inbound.domains), "example.com")
    return f"support@{domain}"
