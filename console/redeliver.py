"""Redelivering mails: what would happen, and doing it. The message goes to `mail.raw` once more, and the processors decide about it by the
rules of today, as a new round of the same mail."""

from datetime import datetime
from itertools import groupby
from typing import Any, Protocol

from starlette.requests import HTTPConnection

from console.answer_errors import Problem
from console.audit import Audit, Writer
from console.change_suppressions import note_unblocked
from console.judge_redelivery import why_not
from console.parse_filters import Filters
from console.query_store import begin_deadline
from console.read_mail import MailReader
from console.search_mails import Cursor, Search
from console.tokens import Principal
from contracts import clock, topics
from contracts.audit import AuditAction
from contracts.raw_message import POLLED, Blob, Envelope, RawType, accepted_reply, encode_headers
from contracts.records import Record
from contracts.rounds import Round
from contracts.settings import Settings
from contracts.statuses import Direction

SOURCE = "mailscope/console"
LAGS = 30.0  # seconds behind; less than what the processors remember of a restart (processors/know_rounds.py)
Item = dict[str, Any]
_NOTHING: Item = {"rounds": 0, "attempts": 0, "accepted": []}  # of a recipient without an event


class BlockList(Protocol):
    """The suppression list. Unavailable when it is not known, or does not take a change."""

    async def blocks(self, address: str) -> bool: ...

    async def remove(self, address: str, by: str, note: str) -> object: ...


class Redeliveries:
    """Redelivers for one principal at a time."""

    def __init__(
        self,
        search: Search,
        reader: MailReader,
        writer: Writer,
        block_list: BlockList,
        audit: Audit,
        settings: Settings,
    ) -> None:
        self._search = search
        self._reader = reader
        self._writer = writer
        self._block_list = block_list
        self._audit = audit
        self._settings = settings

    async def of_mail(
        self,
        request: HTTPConnection,
        principal: Principal,
        mail_id: str,
        recipients: list[str] | None,
        *,
        preview: bool,
        unblock: bool = False,
    ) -> list[Item]:
        """What became of each of these recipients of a mail, or of all; an unknown one is refused. With `unblock`, a suppressed one is
        taken off the list first. Problem 404 for a mail that is not there."""
        await self._demand_log(preview)
        items = {item["recipient"]: item for item in await self._reader.items(mail_id, principal.domains)}
        chosen = list(items) if recipients is None else list(dict.fromkeys(recipients))
        results = [
            _result(mail_id, one, None, "refused", "it is no recipient of this mail")
            for one in chosen
            if one not in items
        ]
        known = [items[one] for one in chosen if one in items]
        return results + await self._redeliver(request, principal, known, preview=preview, unblock=unblock)

    async def of_search(
        self,
        request: HTTPConnection,
        principal: Principal,
        filters: Filters,
        cursor: str | None,
        limit: int,
        *,
        preview: bool,
        unblock: bool = False,
    ) -> tuple[list[Item], str | None]:
        """The same for one page of a search, newest first, and where the next page begins. Problem 422 for a cursor that is none."""
        await self._demand_log(preview)
        after = Cursor.decode(cursor) if cursor else None
        items, following = await self._search.page(filters, principal.domains, limit, after)
        results: list[Item] = []
        for _, of_mail in groupby(items, key=lambda item: item["mail_id"]):
            begin_deadline()  # all of them may take long, each may not
            results += await self._redeliver(request, principal, list(of_mail), preview=preview, unblock=unblock)
        return results, following.encode() if following else None

    async def _demand_log(self, preview: bool) -> None:
        """Problem 503 where the log may not know of a redelivery of before: the processors remember those of the last minute."""
        until = None if preview else await self._search.complete_until()
        if until is None:
            return
        behind = (clock.now() - datetime.fromisoformat(until)).total_seconds()
        if behind > LAGS:
            what = f"the log is {behind:.0f} s behind and may not know what was redelivered lately: try again when it has caught up"
            raise Problem(503, what, code="unavailable")

    async def _redeliver(
        self, request: HTTPConnection, principal: Principal, items: list[Item], *, preview: bool, unblock: bool
    ) -> list[Item]:
        """`items` are rows of one mail."""
        if not items:
            return []
        mail_id = items[0]["mail_id"]
        known = await self._reader.past(mail_id, {item["recipient"] for item in items})
        past = {item["recipient"]: known.get(item["recipient"], _NOTHING) for item in items}
        results, wanted, blocked = [], [], []
        for item in items:
            recipient = item["recipient"]
            suppressed = item["direction"] == Direction.OUTBOUND and await self._block_list.blocks(recipient)
            reason = why_not(item, past[recipient]["rounds"], suppressed and not unblock)
            word = "refused" if reason else "would_be_redelivered" if preview else "redelivered"
            suppressed_only = suppressed and not why_not(item, past[recipient]["rounds"], suppressed=False)
            results.append(_result(mail_id, recipient, item["status"], word, reason, blocked=suppressed_only))
            if not reason:
                wanted.append(item)
                blocked += [recipient] if suppressed else []
        if not preview:
            for address in blocked:
                note = f"to redeliver {mail_id}"
                await note_unblocked(self._audit, request, principal, [address], note)
                await self._block_list.remove(address, principal.name, note)
        if wanted and not preview:
            now = clock.now()
            rounds = {item["recipient"]: _next_round(past[item["recipient"]], now, principal.name) for item in wanted}
            for item in wanted:
                await self._audit.note(
                    request,
                    principal,
                    AuditAction.REDELIVERED,
                    mail_id=mail_id,
                    recipient=item["recipient"],
                    detail=f"it was {item['status']}" + (f" ({item['reason']})" if item["reason"] else ""),
                )
            await self._hand_over(wanted[0], rounds)
        return results

    async def _hand_over(self, item: Item, rounds: dict[str, Round]) -> None:
        hold = await self._reader.room(item["size"])
        try:
            content, blob = await self._reader.stored(item["mail_id"], item["size"])
            envelope = again_envelope(item, rounds, blob, self._settings)
            record = Record(topics.RAW, envelope.mail_id, content, encode_headers(envelope, SOURCE))
            await self._writer.publish(record)
        finally:
            hold.give_back()


def _next_round(past: Item, at: datetime, by: str) -> Round:
    return Round(number=past["rounds"] + 1, attempts=past["attempts"], at=at, by=by, done=list(past["accepted"]))


def again_envelope(item: Item, rounds: dict[str, Round], blob: Blob | None, settings: Settings) -> Envelope:
    """The envelope of a redelivery, from a row of the log. That a message came with SMTPUTF8 the log does not say: who reads it finds out
    from its header (`ReadMail.needs_smtputf8`)."""
    channel = settings.channels.get(item["channel"] or "")
    polled = channel is not None and channel.imap is not None
    return Envelope(
        mail_id=item["mail_id"],
        type=RawType.AGAIN,
        direction=Direction(item["direction"]),
        received_at=datetime.fromisoformat(item["received_at"]),
        envelope_from=item["envelope_from"],
        recipients=list(rounds),
        size=item["size"],
        peer_ip=item["peer_ip"] or "",
        helo=item["helo"] or "",
        protocol=POLLED if polled else "",
        smtputf8=True,
        answered=accepted_reply(item["mail_id"]),
        again=rounds,
        blob=blob,
        channel=item["channel"] if polled else "",
        stream=item["stream"] or "",
        template=item["template"] or "",
        reference=item["reference"] or "",
        tag=item["tag"] or "",
    )


def _result(
    mail_id: str, recipient: str, status: str | None, result: str, message: str, *, blocked: bool = False
) -> Item:
    return {
        "mail_id": mail_id,
        "recipient": recipient,
        "status": status,
        "result": result,
        "message": message or None,
        "blocked": blocked,
    }
