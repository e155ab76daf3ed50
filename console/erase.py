"""Erasing an address on request (GDPR Article 17): what would go, asking for it, and what of it is done.

The console writes down the act, takes its notes from the lists of addresses and asks for the rest on `mail.erasures`; the ClickHouse sink
does it (sinks/clickhouse/erase_address.py).
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request

from console.answer_errors import Problem
from console.audit import Audit
from console.query_store import StoreQueries
from console.tokens import Principal
from contracts import clock, topics
from contracts.audit import AuditAction
from contracts.changes import key_of
from contracts.codec import HEADERS, encode_erasure
from contracts.erasures import Erasure, digest_of
from contracts.preferences import Preference, PreferenceChange, preference_of
from contracts.records import Record
from contracts.settings import Settings
from contracts.suppressions import Suppression, SuppressionChange, suppression_of
from runtime.follow_table import FollowedTable
from runtime.publish import Publisher
from runtime.shared_list import Preferences, Suppressions
from runtime.tell_retention import tell_retention

SOURCE = "mailscope/console"
BY = "erasure"  # who is named where a note was
_OWN = "(lower(recipient) = {address:String} OR lower(sender) = {address:String} OR lower(envelope_from) = {address:String})"
_COUNT = f"SELECT uniqExact(mail_id) AS mails, uniqExact(mail_id, recipient) AS rows FROM mails WHERE {_OWN}"
_MESSAGES = f"""
SELECT count() AS messages, countIf(blob_url != '') AS blobs FROM raw FINAL
WHERE (received_at, mail_id) IN (SELECT received_at, mail_id FROM mails WHERE {_OWN}) AND erased_at IS NULL
"""
_ADDRESSES = (  # the topics whose records name addresses
    topics.RAW,
    topics.VERDICTS,
    topics.DISPATCH,
    topics.ATTEMPTS,
    topics.EVENTS,
    topics.STATUS_INBOUND,
    topics.STATUS_OUTBOUND,
    topics.SUPPRESSIONS,
    topics.PREFERENCES,
    topics.ERASURES,
    topics.AUDIT,
    topics.DEADLETTER,
)


@dataclass(frozen=True)
class ErasureDesk:
    """Each method raises Unavailable when Kafka does not answer."""

    settings: Settings
    queries: StoreQueries
    suppressions: Suppressions
    preferences: Preferences
    erasures: FollowedTable[Erasure]
    publisher: Publisher
    audit: Audit
    secret: bytes

    async def preview(self, address: str) -> dict[str, Any]:
        """What is there of the address now."""
        await asyncio.gather(self.suppressions.ready(), self.preferences.ready())
        parameters = {"address": key_of(address)}
        (counts,), (messages,) = await asyncio.gather(
            self.queries.rows(_COUNT, parameters), self.queries.rows(_MESSAGES, parameters)
        )
        return {
            **counts,
            **messages,
            "suppressed": self.suppressions.get(address) is not None,
            "preference": self.preferences.get(address) is not None,
        }

    async def ask(self, request: Request, principal: Principal, address: str, *, remove_from_lists: bool) -> Erasure:
        """Write the act down and have it done. The act names the digest: it is kept, and the address must not be."""
        asked = Erasure(
            digest=digest_of(self.secret, address), asked_at=clock.now(), by=principal.name, address=key_of(address)
        )
        await self.erasures.ready()
        lists = "; removed from the lists of addresses" if remove_from_lists else ""
        await self.audit.note(request, principal, AuditAction.ERASED, detail=f"digest {asked.digest}{lists}")
        await self._forget_notes(address, remove_from_lists=remove_from_lists)
        record = Record(topics.ERASURES, asked.digest, encode_erasure(asked, SOURCE), HEADERS)
        await self.erasures.read_up_to(await self.publisher.publish_at(record))
        return asked

    async def _forget_notes(self, address: str, *, remove_from_lists: bool) -> None:
        """By default the lists keep what protects the recipient: that nothing is sent, or not of some streams, and since when."""
        await asyncio.gather(self.suppressions.ready(), self.preferences.ready())
        if (entry := self.suppressions.get(address)) is not None:
            kept = None if remove_from_lists else bare_suppression(entry, clock.now())
            await self.suppressions.replace(self.publisher, address, kept, SOURCE)
        if (wish := self.preferences.get(address)) is not None:
            await self.preferences.replace(
                self.publisher, address, None if remove_from_lists else bare_preference(wish), SOURCE
            )

    async def find(self, digest: str) -> Erasure:
        """One erasure. Problem 404."""
        await self.erasures.ready()
        found = self.erasures.get(digest)
        if found is None:
            raise Problem(404, "there is no such erasure")
        return found

    async def every(self) -> list[Erasure]:
        """All of them, newest first."""
        await self.erasures.ready()
        return sorted(self.erasures.snapshot().values(), key=lambda one: one.asked_at, reverse=True)

    async def held_by_kafka(self) -> list[dict[str, Any]]:
        """Until when each topic may hold what was written by now."""
        retries = [topics.retry_topic(delay) for delay in self.settings.delivery.retry_names]
        held = await asyncio.to_thread(tell_retention, self.settings.kafka_client, [*_ADDRESSES, *retries])
        return [msgspec.to_builtins(one) | {"until": clock.rfc3339(one.until) if one.until else None} for one in held]


def bare_suppression(entry: Suppression, now: datetime) -> Suppression | None:
    """The entry without note, evidence and history; None for one that stops nothing."""
    if not entry.holds(now):
        return None
    change = SuppressionChange(action="added", at=entry.since, by=BY, reason=entry.reason, expires_at=entry.expires_at)
    return suppression_of(entry.address, [change])


def bare_preference(wish: Preference) -> Preference | None:
    """What is wished without notes and history; None where all mail is welcome."""
    if not wish.private and not wish.unsubscribed:
        return None
    change = PreferenceChange(action="set", at=wish.updated_at, by=BY, private=wish.private, streams=wish.unsubscribed)
    return preference_of(wish.address, [change])
