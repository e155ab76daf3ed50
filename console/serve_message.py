"""The content of a mail for a browser: its HTML in a cage, its attachments as downloads. Both need the scope `raw`."""

import asyncio
import base64
import re
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.authorise import authorised
from console.protect_responses import MAIL_POLICY
from console.read_mail import MailReader
from mail.read_body import Attachment, Body, read_body

_SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_MAX_INLINE = 1 << 20  # octets of one picture inside the HTML
_CID = re.compile(r"""(?i)(\bsrc\s*=\s*["']?)cid:([^"'\s>]{1,200})""")
_needs_raw = authorised("raw")


def message_router(reader: MailReader) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/mails/{mail_id}/html")
    async def html(request: Request, mail_id: str) -> Response:
        body = await _body(request, mail_id, reader)
        return Response(
            inline_pictures(body).encode("utf-8", "replace"),
            media_type="text/html; charset=utf-8",
            headers={"Content-Security-Policy": MAIL_POLICY, "Cache-Control": "private, no-store"},
        )

    @router.get("/mails/{mail_id}/attachments/{number}")
    async def attachment(request: Request, mail_id: str, number: int) -> Response:
        attachments = (await _body(request, mail_id, reader)).attachments
        if not 0 < number <= len(attachments):
            raise Problem(404, "this mail has no such attachment")
        chosen = attachments[number - 1]
        name = quote(attachment_name(chosen, number), safe="")
        return Response(
            chosen.content,
            media_type="application/octet-stream",
            headers={
                "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
                "Content-Security-Policy": MAIL_POLICY,
                "Cache-Control": "private, no-store",
            },
        )

    return router


async def _body(request: Request, mail_id: str, reader: MailReader) -> Body:
    principal = _needs_raw(request)
    octets = await reader.raw(mail_id, principal.domains)
    return await asyncio.to_thread(read_body, octets)


def attachment_name(attachment: Attachment, number: int) -> str:
    """The name for a download; an attachment without one is numbered."""
    return attachment.name.strip(". ").encode("utf-8", "replace").decode() or f"attachment-{number}.bin"


def inline_pictures(body: Body) -> str:
    """The HTML with the pictures that the mail itself carries; what lies elsewhere is never fetched (see MAIL_POLICY)."""
    pictures = {
        one.content_id: one
        for one in body.attachments
        if one.content_id and one.type in _SHOWN and len(one.content) <= _MAX_INLINE
    }

    def replaced(match: re.Match[str]) -> str:
        picture = pictures.get(unquote(match[2]))
        if picture is None:
            return match[0]
        return f"{match[1]}data:{picture.type};base64,{base64.b64encode(picture.content).decode()}"

    return _CID.sub(replaced, body.html) if pictures else body.html
