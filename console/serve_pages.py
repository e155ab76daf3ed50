"""The page of one mail: what happened to it and why. It shows what the API answers."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.arrange_mail import arrange_checks, arrange_timeline
from console.audit import Audit
from console.authorise import authorised, form_authorised
from console.mask_answers import reveal
from console.read_mail import MailReader
from console.render_page import render
from console.serve_message import attachment_name
from console.tokens import Principal
from contracts.audit import AuditAction
from contracts.settings import Settings
from contracts.statuses import Direction
from mail.addresses import split_address
from mail.bounce_address import BounceAddresses
from mail.read_body import Body
from runtime.load_secret import load_secret

MAX_PREVIEW = 10 << 20  # octets of a message that a page takes apart; larger ones can be downloaded
MAX_RECIPIENTS = 100  # outcomes on one page; the JSON has all
MAX_TIMELINE = 300  # events on one page
MAX_TEXT = 256 << 10  # characters of the text on one page; the download has all
_needs_read = authorised("read")
Revealer = Annotated[Principal, Depends(form_authorised("reveal"))]


def pages_router(reader: MailReader, settings: Settings, audit: Audit) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/mails/{mail_id}")
    async def mail(request: Request, mail_id: str) -> Response:
        principal = _needs_read(request)
        request.state.principal = principal
        async with reader.page_turns:
            found = await reader.read(mail_id, principal.domains)
            return await _page(request, principal, found)

    @router.post("/mails/{mail_id}/reveal")
    async def revealed(request: Request, mail_id: str, principal: Revealer) -> Response:
        request.state.principal = principal
        async with reader.page_turns:
            found = await reader.read(mail_id, principal.domains)
            await audit.note(request, principal, AuditAction.ADDRESSES_REVEALED, mail_id=found["mail_id"])
            reveal(request)
            return await _page(request, principal, found)

    async def _page(request: Request, principal: Principal, found: dict[str, Any]) -> Response:
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
            revealed=getattr(request.state, "revealed", False),
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
            # Late news of a round come after later ones.
            rounds[event["recipient"]] = max(rounds.get(event["recipient"], 0), event.get("round", 0))
    for item in mail["recipients"][:MAX_RECIPIENTS]:
        domain = split_address(item["envelope_from"])[1]
        if domain and item["recipient"] in rounds and not item["source"]:
            item["wire_sender"] = bounces.verp(mail["mail_id"], item["recipient"], domain, rounds[item["recipient"]])


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
