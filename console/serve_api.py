"""The routes of the API that read the log (design section 5)."""

from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from console.audit import Audit
from console.authorise import authorised
from console.conditions import COLUMNS
from console.export_mails import as_csv, as_ndjson
from console.mask_answers import reveal
from console.parse_filters import Filters, parse_filters
from console.read_mail import MailReader, canonical_mail_id
from console.search_mails import Cursor, Search
from console.send_export import ExportRoom
from console.send_held import HeldResponse
from console.tokens import Principal
from contracts import clock
from contracts.audit import AuditAction

Reader = Annotated[Principal, Depends(authorised("read"))]
Revealer = Annotated[Principal, Depends(authorised("reveal"))]
RawReader = Annotated[Principal, Depends(authorised("raw"))]
MailId = Annotated[str, Path(description="The id that every row and event of the mail carries.")]
FILTER_HELP = (
    f"Filters, all combinable: {' '.join(COLUMNS)} since until q. Several values with commas are OR; a leading `!` excludes; `*` is a "
    "wildcard; `size` and `attempts` take `<` and `>`. `q` is one line: the same filters as `name:value`, in any case, AND, OR, NOT and "
    "parentheses, and words, which are looked for by their shape: an address, a Message-ID, a mail_id, a key such as IT-42, a code, a "
    "domain, else subject, addresses, names and the server's answer."
)


def api_router(search: Search, reader: MailReader, audit: Audit) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/api/v1", tags=["log"])
    exports = ExportRoom()

    @router.get("/mails", summary="Search the log", description=FILTER_HELP)
    async def mails(
        request: Request,
        principal: Reader,
        limit: Annotated[int, Query(ge=1, le=500, description="Rows of a page.")] = 50,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> dict[str, Any]:
        filters = request_filters(request, ("limit", "cursor"))
        complete_until = await search.complete_until()
        after = Cursor.decode(cursor) if cursor else None
        items, following = await search.page(filters, principal.domains, limit, after)
        return {
            "items": items,
            "next_cursor": following.encode() if following else None,
            "complete_until": complete_until,
        }

    @router.get("/mails/{mail_id}", summary="One mail, whole", response_model=dict[str, Any])
    async def mail(mail_id: MailId, principal: Reader) -> Response:
        async with reader.turns:
            found = await reader.read(mail_id, principal.domains)
            return Response(msgspec.json.encode(found), media_type="application/json")

    @router.post(
        "/mails/{mail_id}/reveal",
        summary="One mail with its addresses, for who sees them masked",
        description="The answer of `GET /api/v1/mails/{mail_id}` as it is without a mask, this once. It is written to the audit log first.",
        response_model=dict[str, Any],
    )
    async def revealed(request: Request, mail_id: MailId, principal: Revealer) -> Response:
        async with reader.turns:
            found = await reader.read(mail_id, principal.domains)
            await audit.note(request, principal, AuditAction.ADDRESSES_REVEALED, mail_id=found["mail_id"])
            reveal(request)
            return Response(msgspec.json.encode(found), media_type="application/json")

    @router.get(
        "/mails/{mail_id}/raw",
        summary="The message as received, byte for byte",
        response_class=Response,
        responses={200: {"content": {"message/rfc822": {}}}},
    )
    async def raw(request: Request, mail_id: MailId, principal: RawReader) -> Response:
        octets, hold = await reader.held_raw(mail_id, principal.domains)
        try:
            await audit.note(
                request, principal, AuditAction.READ_RAW, mail_id=canonical_mail_id(mail_id), detail="whole"
            )
        except BaseException:
            hold.give_back()
            raise
        return HeldResponse(
            octets,
            hold,
            media_type="message/rfc822",
            headers={
                "Content-Disposition": f'attachment; filename="{canonical_mail_id(mail_id)}.eml"',
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "private, no-store",
            },
        )

    @router.get(
        "/export",
        summary="The log as CSV or NDJSON, streamed",
        description=FILTER_HELP,
        response_class=StreamingResponse,
        responses={200: {"content": {"application/x-ndjson": {}, "text/csv": {}}}},
    )
    async def export(
        request: Request,
        principal: Reader,
        format: Annotated[Literal["csv", "ndjson"], Query(description="What the answer is written in.")] = "ndjson",
    ) -> StreamingResponse:
        pages = search.every(request_filters(request, ("format",)), principal.domains)
        asked = request.url.query or "everything"
        await audit.note(request, principal, AuditAction.EXPORTED, detail=f"the log: {asked}")
        stream, media = (
            (as_csv(pages), "text/csv; charset=utf-8")
            if format == "csv"
            else (as_ndjson(pages), "application/x-ndjson")
        )
        headers = {
            "Content-Disposition": f'attachment; filename="mailscope.{format}"',
            "X-Content-Type-Options": "nosniff",
        }
        return await exports.answer(stream, media, headers)

    return router


def request_filters(request: Request, others: tuple[str, ...]) -> Filters:
    """The filters among a request's parameters; `others` are those of the route itself."""
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name not in others]
    return parse_filters(pairs, clock.now())
