"""A receipt: a page for a ticket that says what happened to one mail for one recipient, without addresses, hosts or text, until its link
ends. Nobody logs in for it: the link is the proof."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Path, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.audit import Audit
from console.authorise import form_authorised
from console.read_mail import MailReader
from console.render_page import render
from console.tokens import Principal
from contracts import clock
from contracts.audit import AuditAction
from contracts.settings import Settings
from mail.bounce_address import recipient_digest
from mail.receipt_link import MAX_TOKEN, ReceiptLinks
from runtime.load_secret import load_secret

EVERY_DOMAIN: frozenset[str] = frozenset()
ReaderOfForm = Annotated[Principal, Depends(form_authorised("read"))]


def receipt_router(reader: MailReader, settings: Settings, audit: Audit) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    def links() -> ReceiptLinks:
        return ReceiptLinks(load_secret(settings))

    @router.post("/mails/{mail_id}/receipt")
    async def make(
        request: Request, mail_id: str, principal: ReaderOfForm, recipient: Annotated[str, Form(max_length=1000)]
    ) -> Response:
        request.state.principal = principal
        items = {item["recipient"]: item for item in await reader.items(mail_id, principal.domains)}
        if recipient not in items:
            raise Problem(404, "it is no recipient of this mail")
        item = items[recipient]
        await audit.note(request, principal, AuditAction.RECEIPT_MADE, mail_id=item["mail_id"], recipient=recipient)
        now = clock.now()
        token = links().token(item["mail_id"], recipient, now)
        shown = links().read(token, now)
        return render(
            request,
            "receipt_made.html",
            mail_id=item["mail_id"],
            link=f"{settings.console.base_url}/r/{token}",
            ends_at=clock.rfc3339(shown.ends_at) if shown else "",
        )

    @router.get("/r/{token}")
    async def receipt(request: Request, token: Annotated[str, Path(max_length=MAX_TOKEN)]) -> Response:
        found = links().read(token, clock.now())
        if found is None:
            raise Problem(404, "this link is not one of ours, or it is over")
        async with reader.page_turns:
            items = await reader.items(found.mail_id, EVERY_DOMAIN)
            item = next((one for one in items if recipient_digest(one["recipient"]) == found.recipient_digest), None)
            if item is None:
                raise Problem(404, "there is no such mail, or it has expired")
            events = await reader.events(found.mail_id, {item["recipient"]})
        return render(
            request,
            "receipt.html",
            item=redacted(item),
            steps=[(event["occurred_at"], event["status"], event["late"]) for event in events[:50]],
            ends_at=clock.rfc3339(found.ends_at),
            now=clock.rfc3339(clock.now()),
        )

    return router


def redacted(item: dict[str, Any]) -> dict[str, Any]:
    """The row without what tells of people: addresses keep their first letter and their domain, the subject is gone."""
    return {
        **item,
        "recipient": masked(item["recipient"]),
        "from": masked(item["from"] or ""),
        "subject": None,
        "message_id": None,
    }


def masked(address: str) -> str:
    """`anna@example.net` as `a…@example.net`."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}…{at}{domain}" if at else f"{domain[:1]}…"
