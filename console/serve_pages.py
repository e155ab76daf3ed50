"""The page of one mail: what happened to it and why. It shows what the API answers."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.arrange_mail import arrange_checks, arrange_timeline
from console.authorise import authorised
from console.read_mail import MailReader
from console.render_page import render
from console.serve_message import attachment_name
from console.tokens import Principal
from mail.read_body import Body

MAX_PREVIEW = 10 << 20  # octets of a message that a page takes apart; larger ones can be downloaded
MAX_RECIPIENTS = 100  # outcomes on one page; the JSON has all
MAX_TIMELINE = 300  # events on one page
MAX_TEXT = 256 << 10  # characters of the text on one page; the download has all
_needs_read = authorised("read")


def pages_router(reader: MailReader) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/mails/{mail_id}")
    async def mail(request: Request, mail_id: str) -> Response:
        principal = _needs_read(request)
        request.state.principal = principal
        async with reader.page_turns:
            found = await reader.read(mail_id, principal.domains)
            return render(
                request,
                "mail.html",
                mail=found,
                shown=found["recipients"][:MAX_RECIPIENTS],
                timeline=arrange_timeline(found, MAX_TIMELINE),
                max_text=MAX_TEXT,
                checks=arrange_checks(found["auth"]),
                flags=(found["auth"] or {}).get("flags", []),
                **await _content(reader, principal, found),
            )

    return router


async def _content(reader: MailReader, principal: Principal, mail: dict[str, Any]) -> dict[str, Any]:
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
    return {"body": body, "attachments": _attachments(body), "no_content": ""}


def _attachments(body: Body) -> list[dict[str, Any]]:
    return [
        {"number": number, "name": attachment_name(one, number), "type": one.type, "size": len(one.content)}
        for number, one in enumerate(body.attachments, 1)
    ]
