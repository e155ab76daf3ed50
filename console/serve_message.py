"""The content of a mail for a browser: its HTML in a cage, its pictures one by one, its attachments as downloads. All need the
scope `raw`."""

import re
from urllib.parse import quote, unquote, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.audit import Audit
from console.authorise import authorised, peer_of
from console.protect_responses import MAIL_POLICY, picture_policy
from console.read_mail import MailReader, canonical_mail_id
from console.sign_pictures import check_ticket, picture_ticket
from contracts.audit import AuditAction
from contracts.settings import Settings
from mail.read_body import Attachment, Body

_SHOWN = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MAX_PICTURES = 1000  # references to pictures in one HTML; those beyond stay as they are
# Elements for whose sake a browser connects elsewhere before it asks the policy, or without.
_AHEAD = re.compile(r"(?i)<(?=(?:link|meta|i?frame|frameset|fencedframe|portal|object|embed)[\s/>])")
_CID = re.compile(r"""(?i)(\bsrc\s*=\s*["']?)cid:([^"'\s>]{1,200})""")
_needs_raw = authorised("raw")


def message_router(reader: MailReader, settings: Settings, audit: Audit) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/mails/{mail_id}/html")
    async def html(request: Request, mail_id: str) -> Response:
        principal = _needs_raw(request)
        canonical = canonical_mail_id(mail_id)
        body = await reader.body(canonical, principal.domains)
        await audit.note(request, principal, AuditAction.READ_RAW, mail_id=canonical, detail="its HTML")
        pictures = f"/mails/{canonical}/pictures/"
        ticket = picture_ticket(request.app.state.tokens, principal, canonical)
        hosts = (request.headers.get("host", ""), urlsplit(settings.console.base_url).netloc)
        return Response(
            _AHEAD.sub("<no-", link_pictures(body, f"{pictures}{ticket}/")).encode("utf-8", "replace"),
            media_type="text/html; charset=utf-8",
            headers={
                "Content-Security-Policy": picture_policy(hosts, pictures),
                "Cache-Control": "private, no-store",
                "Referrer-Policy": "no-referrer",
                "X-DNS-Prefetch-Control": "off",
            },
        )

    @router.get("/mails/{mail_id}/pictures/{ticket}/{number}")
    async def picture(request: Request, mail_id: str, ticket: str, number: int) -> Response:
        canonical = canonical_mail_id(mail_id)
        principal = check_ticket(request.app.state.tokens, ticket, canonical)
        if principal is None or "raw" not in principal.scopes or not principal.may_come_from(peer_of(request)):
            raise Problem(403, "this link to a picture is over: open the mail again")
        shown = _attachment(await reader.body(canonical, principal.domains), number)
        if shown.type not in _SHOWN:
            raise Problem(404, "this part of the mail is no picture that is shown")
        return Response(
            shown.content,
            media_type=shown.type,
            headers={
                "Content-Security-Policy": MAIL_POLICY,
                "Cache-Control": "private, no-store",
                # The HTML that shows it is in a sandbox, whose origin is none, not even ours; another site does not know the link.
                "Cross-Origin-Resource-Policy": "cross-origin",
            },
        )

    @router.get("/mails/{mail_id}/attachments/{number}")
    async def attachment(request: Request, mail_id: str, number: int) -> Response:
        principal = _needs_raw(request)
        chosen = _attachment(await reader.body(mail_id, principal.domains), number)
        await audit.note(
            request,
            principal,
            AuditAction.READ_RAW,
            mail_id=canonical_mail_id(mail_id),
            detail=f"attachment {number}: {chosen.name}",
        )
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


def _attachment(body: Body, number: int) -> Attachment:
    if not 0 < number <= len(body.attachments):
        raise Problem(404, "this mail has no such attachment")
    return body.attachments[number - 1]


def attachment_name(attachment: Attachment, number: int) -> str:
    """The name for a download; an attachment without one is numbered."""
    return attachment.name.strip(". ").encode("utf-8", "replace").decode() or f"attachment-{number}.bin"


def link_pictures(body: Body, path: str) -> str:
    """The HTML, with the pictures that the mail itself carries under `path`, by their numbers; what lies elsewhere is never fetched
    (`picture_policy`). Each reference grows by the length of a path at most, and no more than MAX_PICTURES of them."""
    pictures = {
        one.content_id: number
        for number, one in enumerate(body.attachments, 1)
        if one.content_id and one.type in _SHOWN
    }

    def replaced(match: re.Match[str]) -> str:
        number = pictures.get(unquote(match[2]))
        return match[0] if number is None else f"{match[1]}{path}{number}"

    return _CID.sub(replaced, body.html, MAX_PICTURES) if pictures else body.html
