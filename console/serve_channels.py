"""The routes of the API that tell of channels (design section 5)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query

from console.authorise import authorised
from console.read_channels import ChannelReader
from console.tokens import Principal

Reader = Annotated[Principal, Depends(authorised("read"))]


def channels_router(reader: ChannelReader) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["channels"])

    @router.get("/channels", summary="The channels, and how each mailbox is doing")
    async def channels(principal: Reader) -> dict[str, Any]:
        return {"items": await reader.all(principal.domains)}

    @router.get(
        "/channels/{name}/connectivity",
        summary="What happened to the connection of a mailbox, newest first",
        description="One row a gap: when it began, when it ended (null: it lasts), the server's text, and how many mails arrived in the "
        "mailbox meanwhile and so were late here. `connected` and `recovered` say since when it works.",
    )
    async def connectivity(
        name: Annotated[str, Path(description="The channel, as mailscope.yaml names it.")],
        principal: Reader,
        limit: Annotated[int, Query(ge=1, le=500, description="Rows at most.")] = 100,
    ) -> dict[str, Any]:
        return {"items": await reader.connectivity(name, principal.domains, limit)}

    return router
