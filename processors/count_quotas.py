"""Quotas: how many recipients of a mail its domain may still reach, exact across workers, restarts and kill -9.

Each mail of a domain with a quota puts a ticket into `mail.quotas`, reads up to it, and gets what the tickets before it have left. Every
worker reads the same tickets in the same order, from the beginning of their topic when it starts, and so all come to the same. A mail that
is decided again finds its first ticket. Windows are hours and days of UTC. Memory: some 150 octets for each mail of the last two days.
"""

import threading
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts import topics
from contracts.codec import HEADERS, decode, encode_quota_ticket
from contracts.errors import InvalidEvent, Unavailable
from contracts.records import ConsumedRecord, Record
from contracts.settings import Settings
from contracts.shared_state import QuotaLimit, QuotaTicket
from processors.publish_events import SOURCE
from runtime.follow_table import TopicFollower
from runtime.publish import Publisher

PARTITION = 0  # one order for all
LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}  # "hour" or "day" of UTC
KEPT = timedelta(days=2)  # windows that ended before the newest ticket by more are forgotten
Window = tuple[str, str, datetime]  # domain, "hour" or "day", its beginning


@dataclass(frozen=True)
class Grant:
    """What a mail may still reach: so many of its recipients, and when the quota that was met renews."""

    recipients: int
    renews_at: datetime
    limit: QuotaLimit


class QuotaCounts:
    """What the tickets amount to, in their order. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: defaultdict[Window, int] = defaultdict(int)
        self._grants: dict[Window, dict[bytes, Grant]] = defaultdict(dict)  # by the day that they count in, by mail
        self._swept: datetime | None = None

    def take(self, record: ConsumedRecord) -> None:
        """One record of `mail.quotas`. One that cannot be read takes nothing."""
        try:
            ticket = decode(record.value, QuotaTicket)
            mail = uuid.UUID(ticket.mail_id).bytes
        except (InvalidEvent, ValueError):
            return
        with self._lock:
            of_the_day = self._grants[window_of(ticket.domain, "day", ticket.at)]
            if mail in of_the_day:
                return
            windows = [(one, window_of(ticket.domain, one.per, ticket.at)) for one in ticket.limits]
            tightest, window = min(windows, key=lambda found: found[0].limit - self._used[found[1]])
            granted = max(0, min(ticket.recipients, tightest.limit - self._used[window]))
            for each in {each for _, each in windows}:  # two limits of one window count once
                self._used[each] += granted
            of_the_day[mail] = Grant(granted, window[2] + LENGTHS[tightest.per], tightest)
            self._forget(ticket.at)

    def of(self, domain: str, at: datetime, mail_id: str) -> Grant | None:
        """What this mail was granted; None when it has no ticket yet."""
        with self._lock:
            return self._grants.get(window_of(domain, "day", at), {}).get(uuid.UUID(mail_id).bytes)

    def _forget(self, now: datetime) -> None:
        if self._swept is not None and now <= self._swept + LENGTHS["hour"]:
            return
        self._swept = now
        for kept in (self._used, self._grants):
            for window in [one for one in kept if one[2] + LENGTHS[one[1]] + KEPT < now]:
                del kept[window]


class Quotas:
    """The quotas of the configuration, counted by all workers together."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._limits: dict[str, list[QuotaLimit]] = {}
        for quota in settings.outbound.quotas:
            self._limits.setdefault(quota.domain, []).append(QuotaLimit(per=quota.per, limit=quota.limit))
        self._publisher = publisher
        self._counts = QuotaCounts()
        self._follower = (
            TopicFollower(settings.kafka_client, topics.QUOTAS, self._counts.take) if self._limits else None
        )

    async def grant(self, domain: str, at: datetime, mail_id: str, recipients: int) -> Grant | None:
        """How many of these recipients the domain may still reach at this moment; None where it has no quota. Unavailable when Kafka
        cannot tell."""
        limits = self._limits.get(domain)
        if limits is None or self._follower is None:
            return None
        await self._follower.ready()
        known = self._counts.of(domain, at, mail_id)
        if known is None:
            ticket = QuotaTicket(domain=domain, mail_id=mail_id, at=at, recipients=recipients, limits=limits)
            record = Record(topics.QUOTAS, domain, encode_quota_ticket(ticket, SOURCE), HEADERS, PARTITION)
            await self._follower.read_up_to(await self._publisher.publish_at(record))
            known = self._counts.of(domain, at, mail_id)
        if known is None:  # it stands in the topic, and every reader counts it
            raise Unavailable("Kafka", f"{topics.QUOTAS} does not hold what was acknowledged")
        return known


def window_of(domain: str, per: str, at: datetime) -> Window:
    """The hour or day of UTC in which this moment is."""
    begin = at.replace(minute=0, second=0, microsecond=0)
    return domain, per, begin if per == "hour" else begin.replace(hour=0)
