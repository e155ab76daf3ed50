"""Attempts of other mail servers, written down: each once, however often it is told, and all of one mail under one mail_id.

A mail's name is the source's own id of it and its sender's domain, so that who may tell of one domain does not reach the mail of another.
The first to tell claims that name (`runtime/claim.py`) with the mail_id and what has been told since, for a day; what is older is looked
up in the log. An event's id holds the time of its attempt, so what is told again adds
nothing, whoever forgets it.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from contracts import clock, topics
from contracts.clock import to_ms
from contracts.codec import HEADERS, encode_attempt_report
from contracts.errors import Unavailable
from contracts.events import AttemptReport
from contracts.ids import derived_mail_id, received_ms
from contracts.records import Record
from contracts.shared_state import Claim
from contracts.source_mail import SourceMail
from ingest.attempts.attempt_items import AttemptItem, sender_domain, to_report
from runtime.claim import LEASE, Claims
from runtime.publish import Publisher

SOURCE = "mailscope/ingest"
MOST_TOLD = 200  # attempts of one mail that are remembered
ASK_AGAIN = 0.2  # seconds


Name = tuple[str, str]  # the source's id of a mail, and its sender's domain
FindMails = Callable[[str, Sequence[str]], Awaitable[dict[Name, SourceMail]]]  # source, its ids -> by name


class _Told(msgspec.Struct):
    """What has been told of a mail: (recipient, milliseconds, outcome), in the order of its attempts."""

    mail_id: str
    before: dict[str, int]  # attempts that the log knew when the claim was made
    attempts: list[tuple[str, int, str]]


class AttemptRecorder:
    """Writes attempts down. `find_mails` looks mails up in the log."""

    def __init__(self, claims: Claims, publisher: Publisher, find_mails: FindMails) -> None:
        self._claims = claims
        self._publisher = publisher
        self._find_mails = find_mails

    async def record(self, source: str, items: Sequence[AttemptItem]) -> None:
        """Returns when all are in Kafka. Unavailable when they are not: tell them again, what is known already changes nothing."""
        by_name: dict[Name, list[AttemptItem]] = {}
        for item in items:
            by_name.setdefault((item.id, sender_domain(item)), []).append(item)
        unknown = [name for name in by_name if self._claims.known(_claim_name(source, name)) is None]
        known = await self._find_mails(source, [id for id, _ in unknown]) if unknown else {}
        mails = [self._record_mail(source, name, found, known.get(name)) for name, found in by_name.items()]
        for one in await asyncio.gather(*mails, return_exceptions=True):
            if isinstance(one, BaseException):
                raise one

    async def _record_mail(self, source: str, name: Name, items: list[AttemptItem], known: SourceMail | None) -> None:
        items = sorted(items, key=lambda item: item.time)
        claim_name = _claim_name(source, name)
        mail_id = derived_mail_id(items[0].time, claim_name) if known is None else known.mail_id
        claim = await self._take(claim_name, mail_id)
        try:
            told = self._told(claim, known)
            reports = [report for item in items if (report := self._report(item, source, told)) is not None]
            if reports:
                await self._publisher.publish_all(
                    [
                        Record(topics.ATTEMPTS, one.mail_id, encode_attempt_report(one, SOURCE), HEADERS)
                        for one in reports
                    ]
                )
                await self._claims.answer(claim, msgspec.json.encode(told).decode())
        finally:
            self._claims.put_down(claim)

    def _report(self, item: AttemptItem, source: str, told: _Told) -> AttemptReport | None:
        """The report of an attempt that was not told before; it is noted in `told`."""
        mark = (item.to, to_ms(item.time), str(item.outcome))
        if mark in told.attempts:
            return None
        told.attempts = [*told.attempts, mark][-MOST_TOLD:]
        number = told.before.get(item.to, 0) + sum(one[0] == item.to for one in told.attempts)
        return to_report(item, source, told.mail_id, clock.from_ms(received_ms(told.mail_id)), number)

    async def _take(self, name: str, claimant: str) -> Claim:
        """The claim, for us to work on: who tells of one mail at once takes turns. Unavailable when the turn does not come."""
        deadline = time.monotonic() + LEASE.total_seconds() + 5
        while time.monotonic() < deadline:
            claim = await self._claims.claim(name, claimant)
            if self._claims.take_up(claim):
                return self._claims.known(name) or claim
            await asyncio.sleep(ASK_AGAIN)
        raise Unavailable("the mail", "somebody else tells of it")

    def _told(self, claim: Claim, known: SourceMail | None) -> _Told:
        if claim.answer is not None:
            return msgspec.json.decode(claim.answer, type=_Told)
        before = dict(known.attempts) if known is not None else {}
        return _Told(claim.claimant, before, [])


def _claim_name(source: str, name: Name) -> str:
    return "attempt:" + hashlib.sha256("\0".join((source, *name)).encode()).hexdigest()
