"""Redelivering mails: what would happen, and doing it. The message goes to `mail.raw` once more, and the processors decide about it by the
rules of today, as a new round of the same mail."""

from collections import defaultdict
from datetime import datetime
from itertools import groupby
from typing import Any, Protocol

from starlette.requests import HTTPConnection

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
from contracts.events import Outcome
from contracts.raw_message import POLLED, Blob, Envelope, RawType, accepted_reply, encode_headers
from contracts.records import Record
from contracts.rounds import Round
from contracts.settings import Settings
from contracts.statuses import Direction

SOURCE = "mailscope/console"
Item = dict[str, Any]


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
        after = Cursor.decode(cursor) if cursor else None
        items, following = await self._search.page(filters, principal.domains, limit, after)
        results: list[Item] = []
        for _, of_mail in groupby(items, key=lambda item: item["mail_id"]):
            begin_deadline()  # all of them may take long, each may not
            results += await self._redeliver(request, principal, list(of_mail), preview=preview, unblock=unblock)
        return results, following.encode() if following else None

    async def _redeliver(
        self, request: HTTPConnection, principal: Principal, items: list[Item], *, preview: bool, unblock: bool
    ) -> list[Item]:
        """`items` are rows of one mail."""
        if not items:
            return []
        mail_id = items[0]["mail_id"]
        past = _past(await self._reader.events(mail_id, {item["recipient"] for item in items}))
        results, wanted, blocked = [], [], []
        for item in items:
            recipient = item["recipient"]
            suppressed = item["direction"] == Direction.OUTBOUND and await self._block_list.blocks(recipient)
            reason = why_not(item, past[recipient].rounds, suppressed and not unblock)
            word = "refused" if reason else "would_be_redelivered" if preview else "redelivered"
            suppressed_only = suppressed and not why_not(item, past[recipient].rounds, suppressed=False)
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
            rounds = {item["recipient"]: past[item["recipient"]].next_round(now, principal.name) for item in wanted}
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
            envelope = again_envelope(item, rounds, content, blob, self._settings)
            record = Record(topics.RAW, envelope.mail_id, content, encode_headers(envelope, SOURCE))
            await self._writer.publish(record)
        finally:
            hold.give_back()


class Past:
    """What happened to one recipient so far."""

    def __init__(self) -> None:
        self.rounds = 0
        self.attempts = 0
        self.accepted: list[str] = []

    def next_round(self, at: datetime, by: str) -> Round:
        """The one that begins now."""
        return Round(number=self.rounds + 1, attempts=self.attempts, at=at, by=by, done=self.accepted)


def again_envelope(
    item: Item, rounds: dict[str, Round], content: bytes, blob: Blob | None, settings: Settings
) -> Envelope:
    """The envelope of a redelivery, from a row of the log. That a message came with SMTPUTF8 the log does not say: it needs it where its
    header is UTF-8 beyond ASCII (RFC 6532)."""
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
        smtputf8=_is_utf8(content.partition(b"\r\n\r\n")[0]),
        answered=accepted_reply(item["mail_id"]),
        again=rounds,
        blob=blob,
        channel=item["channel"] if polled else "",
        stream=item["stream"] or "",
        template=item["template"] or "",
        reference=item["reference"] or "",
        tag=item["tag"] or "",
    )


def _is_utf8(header: bytes) -> bool:
    try:
        return not header.isascii() and bool(header.decode())
    except UnicodeDecodeError:
        return False


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


def _past(events: list[dict[str, Any]]) -> defaultdict[str, Past]:
    past: defaultdict[str, Past] = defaultdict(Past)
    for event in events:
        one = past[event["recipient"]]
        one.rounds = max(one.rounds, event.get("round", 0))
        one.attempts = max(one.attempts, event["attempt"])
        for attempt in event.get("attempts") or []:
            if attempt["outcome"] == Outcome.ACCEPTED and attempt["target"] not in one.accepted:
                one.accepted.append(attempt["target"])
    return past
