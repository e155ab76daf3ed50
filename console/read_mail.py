"""One mail, whole: its recipients, its authentication, its headers, its timeline, every attempt, and its octets."""

import asyncio
import re
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from console.advise import advise
from console.answer_errors import Problem
from console.build_query import terms_where
from console.judge_guidelines import judge_guidelines
from console.keep_bodies import KeptBodies
from console.present_mail import ITEM_COLUMNS, present_attempts, present_event, present_item
from console.query_store import StoreQueries
from contracts import clock
from contracts.errors import InvalidEvent
from contracts.events import Outcome
from contracts.ids import received_ms
from contracts.raw_message import Blob
from contracts.settings import Settings
from mail.read_body import Body, read_body
from runtime.blobs import BlobStore
from runtime.budget_octets import Hold, OctetBudget

AT_A_TIME = 4  # mails that are told: one of a thousand recipients is 4 MB of JSON, and ten times that as objects
TAKEN_APART = 2  # messages at a time: each is held whole, and its parts beside it
MEMORY = 256 << 20  # octets of the messages that are being downloaded
COPIES = 2  # of a message while it is fetched
PATIENCE = 10.0  # seconds that a download waits for room

_PLACE = "received_at = fromUnixTimestamp64Milli({received:Int64}, 'UTC') AND mail_id = {mail_id:UUID}"


@dataclass(frozen=True)
class MailReader:
    """Reads mails by their id, which holds the time at which they came: the store looks at one place only."""

    queries: StoreQueries
    settings: Settings
    blobs: BlobStore
    _memory: OctetBudget = field(default_factory=lambda: OctetBudget(MEMORY))
    page_turns: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(AT_A_TIME)
    )  # also while the message is fetched
    turns: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(AT_A_TIME)
    )  # from `read` until the answer is written
    _bodies: KeptBodies = field(default_factory=KeptBodies)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TAKEN_APART))

    async def read(self, mail_id: str, domains: frozenset[str]) -> dict[str, Any]:
        """The mail as the API tells it, to be written in a turn (`turns`). Problem 404 when it is unknown, or not for these domains."""
        items = await self.items(mail_id, domains)
        events = await self.events(mail_id, {item["recipient"] for item in items})
        headers: list[list[str]] = next((event["headers"] for event in events if event.get("headers")), [])
        mail = {
            "mail_id": items[0]["mail_id"],
            "direction": items[0]["direction"],
            "from": items[0]["from"],
            "subject": items[0]["subject"],
            "message_id": items[0]["message_id"],
            "received_at": items[0]["received_at"],
            "size": items[0]["size"],
            "raw_available": items[0]["raw_available"],
            "recipients": [{**item, "advice": _advice(item)} for item in items],
            "auth": next((event["auth"] for event in events if event.get("auth")), None),
            "headers": [{"name": name, "value": value} for name, value in headers],
            "events": [present_event(event) for event in events],
            "attempts": [attempt for event in events for attempt in present_attempts(event)],
            "references": _references(headers),
        }
        offering = {name for name, stream in self.settings.outbound.streams.items() if stream.unsubscribe}
        return mail | {"guidelines": [asdict(one) for one in judge_guidelines(mail, offering)]}

    async def events(self, mail_id: str, recipients: set[str]) -> list[dict[str, Any]]:
        """The events of these recipients as they stand in `mail.events`, oldest first."""
        rows = await self.queries.rows(
            f"SELECT data FROM events FINAL WHERE {_PLACE} AND recipient IN {{recipients:Array(String)}} "
            "ORDER BY occurred_at, event_id LIMIT 5000",
            {**_parameters(mail_id), "recipients": sorted(recipients)},
        )
        events = [msgspec.json.decode(row["data"]) for row in rows]
        return sorted(events, key=_order)

    async def past(self, mail_id: str, recipients: set[str]) -> dict[str, dict[str, Any]]:
        """By recipient, of all that happened to it, however much that is: the latest round (`rounds`), the highest number of an attempt
        (`attempts`), and the targets that have accepted it (`accepted`)."""
        sql = (
            "SELECT recipient, max(JSONExtractUInt(data, 'round')) AS rounds, max(JSONExtractUInt(data, 'attempt')) AS attempts, "
            "arraySort(groupUniqArrayArray(arrayMap(one -> JSONExtractString(one, 'target'), arrayFilter("
            "one -> JSONExtractString(one, 'outcome') = {accepted:String}, JSONExtractArrayRaw(data, 'attempts'))))) AS accepted "
            f"FROM events WHERE {_PLACE} AND recipient IN {{recipients:Array(String)}} GROUP BY recipient"
        )
        wanted = {**_parameters(mail_id), "recipients": sorted(recipients), "accepted": Outcome.ACCEPTED.value}
        return {row["recipient"]: row for row in await self.queries.rows(sql, wanted)}

    async def raw(self, mail_id: str, domains: frozenset[str]) -> bytes:
        """The octets as received. Problem 404 when the mail is unknown or never had a message, 410 when they are gone."""
        return await self._octets(mail_id, (await self.items(mail_id, domains))[0]["size"])

    async def stored(self, mail_id: str, size: int) -> tuple[bytes, Blob | None]:
        """The octets of a message of this size, or where the blob store has them. Problem as of `raw`."""
        rows = await self.queries.rows(
            f"SELECT base64Encode(content) AS content, blob_url, blob_sha256, erased_at FROM raw FINAL WHERE {_PLACE} LIMIT 1",
            _parameters(mail_id),
        )
        if not rows:
            if not size:
                raise Problem(404, "this mail was refused before its message came: there is nothing to download")
            raise Problem(410, "the raw message is not kept any more")
        row = rows[0]
        if row["erased_at"] is not None:
            when = clock.rfc3339(clock.utc(row["erased_at"]))
            raise Problem(410, f"the raw message was erased on request, with an address that it named ({when})")
        if row["blob_url"]:
            return b"", Blob(url=row["blob_url"], sha256=row["blob_sha256"])
        return msgspec.json.decode(f'"{row["content"]}"', type=bytes), None

    async def _octets(self, mail_id: str, size: int) -> bytes:
        content, blob = await self.stored(mail_id, size)
        if blob is None:
            return content
        try:
            return await self.blobs.get(blob)
        except InvalidEvent as why:
            raise Problem(410, f"the raw message is not kept any more ({why.reason})") from why

    async def held_raw(self, mail_id: str, domains: frozenset[str]) -> tuple[bytes, Hold]:
        """The same, counted among all messages that are being downloaded: give the hold back. Problem 503 without room."""
        hold = await self.room((await self.items(mail_id, domains))[0]["size"])
        try:
            return await self.raw(mail_id, domains), hold
        except BaseException:
            hold.give_back()
            raise

    async def room(self, size: int) -> Hold:
        """Room for a message of so many octets among all that are read. Problem 503 without."""
        hold = self._memory.growing()
        try:
            async with asyncio.timeout(PATIENCE):
                await hold.exchange(COPIES * size)
        except TimeoutError as error:
            raise Problem(
                503, "too many large messages are being downloaded: try again later", code="unavailable"
            ) from error
        return hold

    async def body(self, mail_id: str, domains: frozenset[str]) -> Body:
        """What people read of the message, off the event loop and in turn. Problem as of `raw`."""
        items = await self.items(mail_id, domains)  # what is kept is shown to those only who may see it

        async def take_apart() -> Body:
            async with self._room:
                return await asyncio.to_thread(read_body, await self._octets(mail_id, items[0]["size"]))

        return await self._bodies.get(canonical_mail_id(mail_id), take_apart)

    async def items(self, mail_id: str, domains: frozenset[str]) -> list[dict[str, Any]]:
        """Its rows of the log, one a recipient. Problem 404 when it is unknown, or not for these domains."""
        where = terms_where((), domains)
        sql = f"SELECT {ITEM_COLUMNS} FROM mails FINAL WHERE {_PLACE} AND {where.sql} ORDER BY recipient LIMIT 10000"
        rows = await self.queries.rows(sql, {**where.parameters, **_parameters(mail_id)})
        if not rows:
            raise Problem(404, "there is no such mail, or it has expired")
        now = clock.now()
        return [present_item(row, self.settings, now) for row in rows]


def canonical_mail_id(mail_id: str) -> str:
    """The one spelling of an id (RFC 9562 section 4): what was asked for may hold anything that Python takes for a UUID. Problem 404."""
    try:
        received_ms(mail_id)
        return str(uuid.UUID(mail_id))
    except ValueError as error:
        raise Problem(404, "there is no such mail, or it has expired") from error


def _order(event: dict[str, Any]) -> tuple[Any, ...]:
    return event["occurred_at"], event.get("round", 0), event["attempt"], event["terminal"]


def _advice(item: dict[str, Any]) -> dict[str, str] | None:
    found = advise(item)
    return {"turn": found.turn.value, "text": found.text} if found is not None else None


def _parameters(mail_id: str) -> dict[str, Any]:
    canonical = canonical_mail_id(mail_id)
    return {"received": received_ms(canonical), "mail_id": canonical}


def _references(headers: list[list[str]]) -> list[str]:
    """Message-IDs that the mail names as its thread (RFC 5322 section 3.6.4), oldest first."""
    found: list[str] = []
    for wanted in ("references", "in-reply-to"):
        for name, value in headers:
            if name.lower() == wanted:
                found += re.findall(r"<([^<>\s]+)>", value)
    return list(dict.fromkeys(found))
