"""The routes of the API that tell of channels (design section 5)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query

from console.authorise import authorised
from console.read_channels import ChannelReader
from console.read_processing import ProcessingLog
from console.search_mails import Cursor
from console.tokens import Principal

Name = Annotated[str, Path(description="The channel, as mailscope.yaml names it.")]
Reader = Annotated[Principal, Depends(authorised("read"))]


def channels_router(reader: ChannelReader, processing: ProcessingLog) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["channels"])

    @router.get("/channels", summary="The channels, and how each mailbox is doing")
    async def channels(principal: Reader) -> dict[str, Any]:
        return {"items": await reader.all(principal.domains)}

    @router.get(
        "/channels/{name}/connectivity",
        summary="What happened to the connection of a mailbox, newest first",
        description="One row a gap: when it began, when it ended (null: it lasts), the server's text, and how many mails arrived in the "
        "mailbox meanwhile and so were late here (`/channels/{name}/mails?gap=` lists them; a poller that ended before it had caught up "
        "counts none). `connected` and `recovered` say since when it works.",
    )
    async def connectivity(
        name: Name,
        principal: Reader,
        limit: Annotated[int, Query(ge=1, le=500, description="Rows at most.")] = 100,
    ) -> dict[str, Any]:
        return {"items": await reader.connectivity(name, principal.domains, limit)}

    @router.get(
        "/channels/{name}/mails",
        summary="The processing log of a channel, newest first",
        description="Its mail, and what was refused in its domain because the address is not there (`reason: unknown_recipient`), with "
        "`nearest`, the address that was probably meant. The filters are those of `/mails`. With `gap`, the mails that came late by one "
        "gap of the connectivity log: the first thousand, as the poller named them.",
    )
    async def processed(
        name: Name,
        principal: Reader,
        sender: Annotated[
            str, Query(alias="from", description="The sender: the address, a part of it, or of the name.")
        ] = "",
        subject: Annotated[str, Query(description="Words of the subject.")] = "",
        reference: Annotated[str, Query(description="The request's key.")] = "",
        status: Annotated[str, Query(description="One status, or several with commas.")] = "",
        since: Annotated[str, Query(description="From this time on; or how long ago, such as 2h.")] = "",
        until: Annotated[str, Query(description="Before this time.")] = "",
        gap: Annotated[str, Query(description="`occurred_at` of a gap.")] = "",
        limit: Annotated[int, Query(ge=1, le=500, description="Rows of a page.")] = 50,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> dict[str, Any]:
        asked = {"from": sender, "subject": subject, "reference": reference, "status": status}
        asked |= {"since": since, "until": until, "gap": gap}
        after = Cursor.decode(cursor) if cursor else None
        items, following = await processing.page(name, asked, principal.domains, limit, after)
        return {"items": items, "next_cursor": following.encode() if following else None}

    return router
