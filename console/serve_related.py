"""Mail that has to do with a mail: its thread, its request, its recipient, and others that heard the same answer lately."""

import asyncio
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.authorise import authorised
from console.parse_filters import parse_filters
from console.read_mail import MailReader
from console.render_page import render
from console.search_mails import Search
from contracts import clock
from contracts.clock import rfc3339

SHOWN = 5  # of each kind
LATELY = timedelta(hours=1)
_needs_read = authorised("read")


def related_router(search: Search, reader: MailReader) -> APIRouter:
    """The router."""
    router = APIRouter(include_in_schema=False)

    @router.get("/mails/{mail_id}/related")
    async def related(request: Request, mail_id: str) -> Response:
        principal = _needs_read(request)
        request.state.principal = principal
        items = await reader.items(mail_id, principal.domains)
        now = clock.now()

        async def find(title: str, filters: dict[str, str]) -> dict[str, Any]:
            terms = parse_filters(list(filters.items()), now)
            found, _ = await search.page(terms, principal.domains, SHOWN + 1, None)
            others = [one for one in found if one["mail_id"] != items[0]["mail_id"]]
            return {"title": title, "items": others[:SHOWN], "filters": filters}

        wanted = _kinds(items[0], rfc3339(now - LATELY))
        groups = await asyncio.gather(*(find(title, filters) for title, filters in wanted))
        return render(
            request, "related.html", mail_id=items[0]["mail_id"], groups=[one for one in groups if one["items"]]
        )

    return router


def _kinds(item: dict[str, Any], lately: str) -> list[tuple[str, dict[str, str]]]:
    """(title, filters) of what to look for; values are exact, so that what looks like an operator in them is none."""
    kinds = []
    if item["reference"]:
        kinds.append((f"All of {item['reference']}", {"reference": item["reference"]}))
    if item["message_id"]:
        kinds.append(("The same Message-ID", {"message_id": item["message_id"]}))
    kinds.append((f"To {item['recipient']}", {"to": item["recipient"]}))
    if item["bounce_class"] and item["host"]:
        same = {"bounce_class": item["bounce_class"], "host": item["host"], "since": lately}
        kinds.append(
            (f"{item['bounce_class'].replace('_', ' ').capitalize()} from {item['host']} in the last hour", same)
        )
    # A comma, a star or a mark of exclusion in a value would be read as one.
    return [(title, filters) for title, filters in kinds if not any(_is_operator(one) for one in filters.values())]


def _is_operator(value: str) -> bool:
    return "," in value or "*" in value or value.startswith(("!", "-"))
