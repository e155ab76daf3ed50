"""The page that says what redelivering would do, and does it."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from console.authorise import form_authorised
from console.parse_filters import parse_filters
from console.redeliver import Redeliveries
from console.render_page import render
from console.serve_redeliver import MOST, Manager
from console.tokens import Principal
from contracts import clock

SHOWN = 100  # rows of a search
ManagerOfForm = Annotated[Principal, Depends(form_authorised("manage"))]


def redeliver_page_router(redeliveries: Redeliveries) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/mails/{mail_id}/redeliver")
    async def preview_page(request: Request, mail_id: str, principal: Manager, recipient: str = "") -> Response:
        request.state.principal = principal
        chosen = [recipient] if recipient else None
        found = await redeliveries.of_mail(request, principal, mail_id, chosen, preview=True)
        return render(request, "redeliver.html", mail_id=mail_id, only=recipient, **_for_page(found))

    @router.post("/mails/{mail_id}/redeliver")
    async def do_form(
        request: Request,
        mail_id: str,
        principal: ManagerOfForm,
        recipient: Annotated[list[str] | None, Form()] = None,
        unblock: Annotated[bool, Form()] = False,
    ) -> Response:
        await redeliveries.of_mail(request, principal, mail_id, recipient, preview=False, unblock=unblock)
        return RedirectResponse(f"/mails/{mail_id}", 303)

    @router.get("/redeliver")
    async def preview_search(request: Request, principal: Manager) -> Response:
        return await of_search(request, principal, preview=True)

    @router.post("/redeliver")
    async def do_search(
        request: Request, principal: ManagerOfForm, unblock: Annotated[bool, Form()] = False
    ) -> Response:
        return await of_search(request, principal, preview=False, unblock=unblock)

    async def of_search(request: Request, principal: Principal, *, preview: bool, unblock: bool = False) -> Response:
        """What the filters in the address find, as on the page of the log."""
        request.state.principal = principal
        wanted = {name: value for name, value in request.query_params.items() if value and name != "live"}
        cursor = wanted.pop("cursor", None)
        wanted.setdefault("until", clock.rfc3339(clock.now()))  # what is done is what was shown
        filters = parse_filters(list(wanted.items()), clock.now())
        found, following = await redeliveries.of_search(
            request, principal, filters, cursor, MOST, preview=preview, unblock=unblock
        )
        return render(request, "redeliver.html", wanted=wanted, cursor=cursor, following=following, **_for_page(found))

    return router


def _for_page(found: list[dict[str, Any]]) -> dict[str, Any]:
    refused = [one for one in found if one["result"] == "refused"]
    chosen = [one for one in found if one["result"] != "refused"]
    return {
        "chosen": chosen[:SHOWN],
        "refused": refused[:SHOWN],
        "many": len(chosen),
        "many_refused": len(refused),
        "many_blocked": sum(one["blocked"] for one in refused),
        "done": any(one["result"] == "redelivered" for one in chosen),
    }
