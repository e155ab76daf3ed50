"""The page of the pipeline: what is wrong, its stages, and the dead letters with a look at one and a replay."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from console.address_lists import whole_list, whole_list_of_form
from console.dead_letters import DeadLetters, LetterFilter
from console.read_subscriptions import CallFilter, SubscriptionReader
from console.read_system import SystemReader
from console.render_page import query, render
from console.serve_dead_letters import ReplayBody, replay_letters
from console.tokens import Principal
from contracts.subscriptions import CallOutcome

SHOWN = 50  # dead letters, or calls, of a page
Reader = Annotated[Principal, Depends(whole_list("read"))]
ManagerOfForm = Annotated[Principal, Depends(whole_list_of_form("manage"))]
Word = Annotated[str, Form(max_length=200)]


def system_page_router(reader: SystemReader, letters: DeadLetters, subscriptions: SubscriptionReader) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/system")
    async def system(request: Request, principal: Reader) -> Response:
        request.state.principal = principal
        return render(request, "system.html", system=await reader.read())

    @router.get("/system/subscriptions/{name}")
    async def deliveries(
        request: Request, principal: Reader, name: str, outcome: CallOutcome | None = None, cursor: str = ""
    ) -> Response:
        request.state.principal = principal
        items, following = await subscriptions.calls(name, CallFilter(outcome or ""), SHOWN, cursor)
        wanted = {"outcome": outcome.value if outcome else ""}
        return render(
            request,
            "deliveries.html",
            name=name,
            items=items,
            following=following,
            wanted=wanted,
            outcomes=list(CallOutcome),
        )

    @router.get("/system/dead-letters")
    async def dead_letters(
        request: Request,
        principal: Reader,
        stage: str = "",
        reason: str = "",
        topic: str = "",
        cursor: str = "",
        replayed: str = "",
    ) -> Response:
        request.state.principal = principal
        items, following = await letters.page(LetterFilter(stage, reason, topic), SHOWN, cursor)
        wanted = {"stage": stage, "reason": reason, "topic": topic}
        return render(
            request, "dead_letters.html", items=items, following=following, wanted=wanted, replayed=replayed[:10]
        )

    @router.post("/system/dead-letters")
    async def replay(
        request: Request,
        principal: ManagerOfForm,
        id: Word = "",
        stage: Word = "",
        reason: Word = "",
        topic: Word = "",
    ) -> Response:
        body = ReplayBody(ids=[id] if id else None, stage=stage, reason=reason, topic=topic, preview=False)
        done = await replay_letters(letters, request, principal, body)
        wanted = {"stage": stage, "reason": reason, "topic": topic, "replayed": str(done.replayed)}
        return RedirectResponse(f"/system/dead-letters{query(wanted)}", 303)

    return router
