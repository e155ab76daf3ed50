"""The page Activity: what has been going on, by time and by what mails have in common, and the list that a click narrows."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.arrange_mail import arrange_checks
from console.authorise import authorised
from console.choose_facets import presets
from console.conditions import COLUMNS, TIMES
from console.count_mails import MailCounts
from console.read_activity import (
    PAGE,
    arrange_facets,
    counted_within,
    lag_of,
    page_filters,
    person_query,
    read_activity,
    read_parameters,
    status_chips,
)
from console.read_mail import MailReader
from console.render_page import render
from console.search_mails import Search
from console.summarise_mail import summarise_mail
from contracts.settings import Settings

_needs_read = authorised("read")


def activity_router(search: Search, counts: MailCounts, reader: MailReader, settings: Settings) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def activity(request: Request) -> Response:
        principal = _needs_read(request)
        request.state.principal = principal
        parameters = read_parameters(request)
        within = counted_within(parameters, settings)
        page: dict[str, Any] = {"items": [], "following": None, "problem": None}
        page |= {"read_as": [], "suggestions": [], "parts": [], "chart": None, "span": None, "uncounted": False}
        page["facets"] = arrange_facets(parameters, None)
        status = 200
        try:
            page |= await read_activity(search, counts.at_once(within), principal, parameters)
        except Problem as problem:
            if problem.status not in (400, 422, 503):
                raise
            page["problem"], status = problem.message, problem.status
        complete = await search.complete_until()
        return render(
            request,
            "activity.html",
            status,
            **page,
            chips=status_chips(parameters, page["chart"]),
            presets=presets(parameters),
            filtered=any(name in (*COLUMNS, *TIMES, "q") for name in parameters),
            parameters=parameters,
            person_query=person_query,
            complete_until=complete,
            lag=lag_of(complete),
            waited=within is None,
            example=example_recipient(settings),
            smtp=f"{settings.smtp.host}:{settings.smtp.port}",
            retention_days=settings.store.retention.days,
        )

    @router.get("/activity/rows")
    async def rows(request: Request) -> Response:
        """The newest rows of a list, for a page that is open."""
        principal = _needs_read(request)
        filters = page_filters(read_parameters(request))
        items, _ = await search.page(filters, principal.domains, PAGE, None)
        complete = await search.complete_until()
        return render(
            request, "rows.html", items=items, person_query=person_query, complete_until=complete, lag=lag_of(complete)
        )

    @router.get("/mails/{mail_id}/row")
    async def unfolded(
        request: Request, mail_id: str, recipient: Annotated[str, Query(max_length=1000)] = ""
    ) -> Response:
        """What a row of the list unfolds to."""
        principal = _needs_read(request)
        async with reader.page_turns:
            mail = await reader.read(mail_id, principal.domains)
        item = next((one for one in mail["recipients"] if one["recipient"] == recipient), mail["recipients"][0])
        attempts = [one for one in mail["attempts"] if one["recipient"] == item["recipient"]]
        address = f"{settings.console.base_url.rstrip('/')}/mails/{item['mail_id']}"
        return render(
            request,
            "unfolded.html",
            item=item,
            attempts=attempts,
            checks=arrange_checks(mail["auth"]),
            summary=summarise_mail(item, attempts, address),
            may_download=mail["raw_available"] and "raw" in principal.scopes,
        )

    return router


def example_recipient(settings: Settings) -> str:
    """An address that this configuration takes mail for, to try it with."""
    for route in settings.inbound.routes:
        if route.match.to and "*" not in route.match.to and route.reject is None:
            return route.match.to
    domain = next(iter(settings.inbound.domains), "example.com")
    return f"support@{domain}"
