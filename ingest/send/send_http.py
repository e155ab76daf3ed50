"""The send hook over HTTP: `POST /api/v1/send` (design section 5)."""

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable
from typing import Annotated, Any, Protocol

import msgspec
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from contracts import metrics
from contracts.errors import Unavailable
from contracts.metadata import FIELDS, Metadata
from ingest.send.claim_keys import IdempotencyKeys, KeyReused
from ingest.send.limit_tokens import RateExceeded, TokenRates
from ingest.send.outgoing import (
    MAX_ATTACHMENTS,
    MAX_FILE_NAME,
    MAX_HEADERS,
    MAX_HEADERS_TOTAL,
    MAX_RECIPIENTS,
    MAX_SUBJECT,
    Attached,
    InvalidMail,
    Outgoing,
)
from ingest.send.read_request import SendRoute
from ingest.send.send import Sender, recall, to_remember
from runtime.expose_metrics import counter

_log = logging.getLogger("mailscope.send")


class Principal(Protocol):
    """Who asks, as the console's authorisation tells."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def domains(self) -> Any: ...


class AttachmentBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=MAX_FILE_NAME, description="File name.")
    type: str = Field("", description="Media type; empty: guessed from the name.")
    content: str = Field(description="Base64.")


class SendBody(BaseModel):
    """One message: from fields, or `raw`, a whole message with `from` and `to` as its envelope."""

    model_config = ConfigDict(extra="forbid")
    from_: str = Field(alias="from", description="Author; its domain must be under outbound.domains.")
    to: list[str] = Field([], description=f"Recipients: with cc and bcc at most {MAX_RECIPIENTS}.")
    cc: list[str] = Field([], description="Further recipients that the message names.")
    bcc: list[str] = Field([], description="Recipients that the message does not name.")
    reply_to: str | None = Field(None, description="Where answers shall go.")
    subject: str = Field("", description=f"In Unicode, at most {MAX_SUBJECT} characters; it is encoded as mail asks.")
    text: str | None = Field(None, description="The plain text.")
    html: str | None = Field(None, description="The HTML, beside the text or alone.")
    headers: dict[str, str] = Field(
        {}, description=f"Further headers: at most {MAX_HEADERS}, {MAX_HEADERS_TOTAL} characters in all."
    )
    attachments: list[AttachmentBody] = Field([], description=f"Files, in this order, at most {MAX_ATTACHMENTS}.")
    raw: str | None = Field(None, description="Base64 of a whole message.")
    stream: str = Field("", max_length=200, description="Kind of mail: invitation, request-notification, or any word.")
    template: str = Field("", max_length=200, description="What it was made from, such as `Request created`.")
    reference: str = Field("", max_length=200, description="Your key for it, such as IT-42.")
    tag: str = Field("", max_length=200, description="Any word of yours, to search for.")


class RecipientBody(BaseModel):
    recipient: str = Field(description="The address.")
    status: str = Field(description="`sent`: accepted and queued; else why it is not.")
    reason: str | None = Field(description="Why it failed; null when it did not.")
    detail: str = Field(description="The same in one sentence, with the time when a quota renews.")


class SentBody(BaseModel):
    mail_id: str = Field(description="The id under which the log tells what becomes of it.")
    recipients: list[RecipientBody] = Field(description="What became of each so far.")


def send_router(
    sender: Sender,
    keys: IdempotencyKeys,
    authorised: Callable[..., Any],
    has_room: Callable[[], bool] | None = None,
    rates: TokenRates | None = None,
) -> APIRouter:
    """The route. `authorised` is the dependency that demands a token with scope `send`; without room on the disk (`has_room`)
    everything is answered 507. `rates` is what one token may send; None: as much as it likes."""
    router = APIRouter(prefix="/api/v1", tags=["send"], route_class=SendRoute)

    @router.post("/send", status_code=202, response_model=SentBody, summary="Send one message")
    async def send(
        request: Request,
        body: SendBody,
        principal: Annotated[Any, Depends(authorised)],
        idempotency_key: Annotated[
            str | None, Header(max_length=255, description="The same key with the same body sends once, for a day.")
        ] = None,
    ) -> JSONResponse:
        if has_room is not None and not has_room():
            counter(metrics.SENDS).labels("no_room").inc()
            return _error(
                507, "insufficient_storage", "the disk is nearly full: nothing is taken until there is room", None
            )
        try:
            if rates is not None:
                rates.take(principal.id, requests=1, recipients=len(body.to) + len(body.cc) + len(body.bcc))
        except RateExceeded as why:
            counter(metrics.SENDS).labels("too_many").inc()
            refusal = _error(429, "too_many_requests", str(why), None)
            refusal.headers["Retry-After"] = str(why.seconds)
            return refusal
        try:
            claim = await keys.begin(principal.id, idempotency_key, await request.body()) if idempotency_key else None
        except KeyReused:
            return _error(422, "idempotency_key_reused", "this key was used for another request", "Idempotency-Key")
        except Unavailable as error:
            return _not_taken(error)
        if claim is not None and claim.answer is not None:
            before = claim.answer
            return JSONResponse(
                await asyncio.to_thread(lambda: msgspec.to_builtins(recall(before, _outgoing(body)))), 202
            )
        refused = answered = False
        try:
            allowed = frozenset(principal.domains) if principal.domains else None
            mail_id = claim.claimant if claim is not None else None
            sent = await sender.send(
                await asyncio.to_thread(_outgoing, body), user=principal.name, allowed=allowed, mail_id=mail_id
            )
            answered = True
        except InvalidMail as why:
            refused = True
            code = {"message_too_large": 413, "forbidden_domain": 403}.get(why.code, 422)
            return _error(code, why.code, why.message, why.field)
        except Unavailable as error:
            return _not_taken(error)
        finally:
            if claim is not None and not answered:
                await keys.abandon(claim, refused=refused)
        if claim is not None:
            try:
                await keys.finish(claim, to_remember(sent))
            except Unavailable as error:  # it is sent, and that is what is asked
                _log.warning("the answer to an Idempotency-Key was not written down: %s", error)
        return JSONResponse(msgspec.to_builtins(sent), 202)

    return router


def _outgoing(body: SendBody) -> Outgoing:
    return Outgoing(
        from_address=body.from_,
        to=tuple(body.to),
        cc=tuple(body.cc),
        bcc=tuple(body.bcc),
        reply_to=body.reply_to or "",
        subject=body.subject,
        text=body.text,
        html=body.html,
        headers=body.headers,
        attachments=tuple(
            Attached(one.name, one.type, _octets(f"attachments[{number}].content", one.content))
            for number, one in enumerate(body.attachments)
        ),
        raw=_octets("raw", body.raw) if body.raw is not None else None,
        metadata=Metadata(**{name: getattr(body, name) for name in FIELDS}),
    )


def _octets(field: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidMail(field, "this is not base64") from error


def _not_taken(error: Unavailable) -> JSONResponse:
    return _error(503, "unavailable", f"the mail was not taken, send it again: {error}", None)


def _error(status: int, code: str, message: str, field: str | None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, "field": field}}, status)
