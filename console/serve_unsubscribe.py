"""Where a recipient unsubscribes: `/u/{token}`. POST does it at once, whoever sends it (RFC 8058 section 3.1: no cookie, no question); GET
asks first, since scanners follow links. Nobody logs in here: the token is the proof, and nothing is shown but what it says."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from console.answer_errors import Problem
from console.render_page import render
from contracts import clock, topics
from contracts.codec import HEADERS, encode_late_news
from contracts.events import LateNews
from contracts.preferences import EVERY_STREAM, PreferenceChange
from contracts.records import Record
from contracts.statuses import Status
from mail.bounce_address import recipient_digest
from mail.unsubscribe_link import MAX_TOKEN, UnsubscribeLinks, Unsubscription
from runtime.publish import Publisher
from runtime.shared_list import Preferences

SOURCE = "mailscope/console"
BY = "recipient"  # who the history names
Token = Annotated[str, Path(max_length=MAX_TOKEN)]


def unsubscribe_router(links: UnsubscribeLinks, preferences: Preferences, publisher: Publisher) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)

    def read(token: str) -> Unsubscription:
        found = links.read(token)
        if found is None:
            raise Problem(404, "this link is not one of ours, or a part of it is missing")
        return found

    @router.get("/u/{token}")
    async def ask(request: Request, token: Token) -> Response:
        return render(request, "unsubscribe.html", wanted=read(token), done=False)

    @router.post("/u/{token}")
    async def unsubscribe(request: Request, token: Token) -> Response:
        wanted = read(token)
        now = clock.now()
        known = preferences.get(wanted.recipient)
        if known is None or not known.declines(wanted.stream):
            change = PreferenceChange(
                action="unsubscribed",
                at=now,
                by=BY,
                mail_id=wanted.mail_id,
                recipient=wanted.recipient,
                note="by the link in the mail",
                streams=[wanted.stream or EVERY_STREAM],
            )
            news = LateNews(
                mail_id=wanted.mail_id,
                recipient_digest=recipient_digest(wanted.recipient),
                status=Status.UNSUBSCRIBED,
                occurred_at=now,
                detail=f"the recipient unsubscribed from {wanted.stream or 'every stream'} by the link in the mail",
            )
            # The news first: who is killed before the list has it is asked again, and then the log knows as well.
            await publisher.publish(Record(topics.ATTEMPTS, wanted.mail_id, encode_late_news(news, SOURCE), HEADERS))
            await preferences.change(publisher, wanted.recipient, change, SOURCE)
        return render(request, "unsubscribe.html", wanted=wanted, done=True)

    return router
