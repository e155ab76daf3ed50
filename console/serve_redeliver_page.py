"""The page that says what redelivering would do, and does it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from console.authorise import form_authorised
from console.redeliver import Redeliveries
from console.render_page import render
from console.serve_redeliver import MOST, Manager
from console.tokens import Principal

SHOWN = 100  # rows of a search
ManagerOfForm = Annotated[Principal, Depends(form_authorised("manage"))]
Line = Annotated[str, Form(max_length=2000)]


def redeliver_page_router(redeliveries: Redeliveries) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/mails/{mail_id}/redeliver")
    async def preview_page(request: Request, mail_id: str, principal: Manager, recipient: str = "") -> Response:
        request.state.principal = principal
        chosen = [recipient] if recipient else None
        found = await redeliveries.of_mail(request, principal, mail_id, chosen, preview=True)
        return render(request, "redeliver.html", mail_id=mail_id, **_for_page(found))

    @router.post("/mails/{mail_id}/redeliver")
    async def do_form(
        request: Request, mail_id: str, principal: ManagerOfForm, recipient: Annotated[list[str] | None, Form()] = None
    ) -> Response:
        await redeliveries.of_mail(request, principal, mail_id, recipient, preview=False)
        return RedirectResponse(f"/mails/{mail_id}", 303)

    @router.get("/redeliver")
    async def preview_search(request: Request, principal: Manager, q: str, cursor: str = "") -> Response:
        request.state.principal = principal
        found, following = await redeliveries.of_search(request, principal, q, cursor or None, MOST, preview=True)
        return render(request, "redeliver.html", line=q, cursor=cursor, following=following, **_for_page(found))

    @router.post("/redeliver")
    async def do_search(request: Request, principal: ManagerOfForm, q: Line, cursor: Line = "") -> Response:
        request.state.principal = principal
        found, following = await redeliveries.of_search(request, principal, q, cursor or None, MOST, preview=False)
        return render(request, "redeliver.html", line=q, cursor=cursor, following=following, **_for_page(found))

    return router


def _for_page(found: list[dict[str, Any]]) -> dict[str, Any]:
    refused = [one for one in found if one["result"] == "refused"]
    chosen = [one for one in found if one["result"] != "refused"]
    return {
        "chosen": chosen[:SHOWN],
        "refused": refused[:SHOWN],
        "many": len(chosen),
        "many_refused": len(refused),
        "done": any(one["result"] == "redelivered" for one in chosen),
    }
