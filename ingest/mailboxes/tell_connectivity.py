"""The health of a polled mailbox, for `mail.connectivity`: one row a gap, told when it begins and again when it is over."""

import contextlib
import logging
from datetime import datetime

import msgspec

from contracts import clock, metrics, topics
from contracts.codec import HEADERS, encode_connectivity
from contracts.errors import Unavailable
from contracts.events import ChannelState, Connectivity
from contracts.records import Record
from contracts.shared_state import Gap
from ingest.mailboxes.note_taken import SOURCE, TakenMails
from ingest.mailboxes.speak_imap import MailboxTrouble
from runtime.expose_metrics import gauge
from runtime.publish import Publisher

NAMED = 1000  # late mails of a gap that are named; more are counted
_log = logging.getLogger("mailscope.mailboxes")


class ChannelHealth:
    """One channel, as its poller sees it. A gap outlives the poller: it is noted in `mail.mailboxes`."""

    def __init__(self, channel: str, notes: TakenMails, publisher: Publisher) -> None:
        self._channel = channel
        self._notes = notes
        self._publisher = publisher
        self._told_connected = False
        self._over: tuple[Gap, datetime] | None = None  # the gap whose late mails are being counted, and its end
        self._delayed = 0
        self._delayed_mails: list[str] = []

    async def trouble(self, trouble: MailboxTrouble) -> None:
        """It cannot be read. The same trouble again says nothing new. Unavailable when Kafka does not take it."""
        gauge(metrics.CHANNEL_UP).labels(self._channel).set(0)
        await self.caught_up()
        known, now = self._notes.gap(self._channel), clock.now()
        if known is not None and known.state == trouble.state:
            return
        _log.warning("channel %s: %s: %s", self._channel, trouble.state, trouble.detail)
        if known is not None:
            await self._tell(_row(self._channel, known, now))
        first = known.first if known is not None else now
        gap = Gap(state=trouble.state, since=now, first=first, detail=trouble.detail)
        await self._tell(_row(self._channel, gap, None))
        await self._notes.note_gap(self._channel, gap)

    async def works(self) -> None:
        """It can be read. Unavailable when Kafka does not take it."""
        gauge(metrics.CHANNEL_UP).labels(self._channel).set(1)
        gap, now = self._notes.gap(self._channel), clock.now()
        if gap is not None:
            lasted = f"after {(now - gap.first).total_seconds():.0f} s"
            _log.info("channel %s: recovered %s", self._channel, lasted)
            await self._tell(_row(self._channel, gap, now))
            await self._tell(
                Connectivity(channel=self._channel, state=ChannelState.RECOVERED, occurred_at=now, detail=lasted)
            )
            await self._notes.note_gap(self._channel, None)
            self._over, self._delayed, self._delayed_mails = (gap, now), 0, []
        elif not self._told_connected:
            _log.info("channel %s: connected", self._channel)
            await self._tell(Connectivity(channel=self._channel, state=ChannelState.CONNECTED, occurred_at=now))
        self._told_connected = True

    def leave(self) -> None:
        """This process polls it no longer, and says nothing of it."""
        with contextlib.suppress(KeyError):
            gauge(metrics.CHANNEL_UP).remove(self._channel)

    def took(self, mail_id: str, arrived_at: datetime | None) -> None:
        """A mail was taken that had arrived in the mailbox at this time."""
        if self._over is None or arrived_at is None:
            return
        gap, ended = self._over
        if gap.first.replace(microsecond=0) <= arrived_at <= ended:
            self._delayed += 1
            if len(self._delayed_mails) < NAMED:
                self._delayed_mails.append(mail_id)

    async def caught_up(self) -> None:
        """All that had waited was taken: how much of it came late is known. Unavailable when Kafka does not take it."""
        if self._over is not None:
            (gap, ended), self._over = self._over, None
            if self._delayed:
                late = _row(self._channel, gap, ended)
                await self._tell(
                    msgspec.structs.replace(late, delayed=self._delayed, delayed_mails=self._delayed_mails)
                )

    async def _tell(self, change: Connectivity) -> None:
        value = encode_connectivity(change, SOURCE)
        await self._publisher.publish(Record(topics.CONNECTIVITY, self._channel, value, HEADERS))


async def tell(health: ChannelHealth, trouble: MailboxTrouble) -> None:
    """`ChannelHealth.trouble`, where Kafka may be away as well: then only the log of this process says it."""
    try:
        await health.trouble(trouble)
    except Unavailable as error:
        _log.warning("%s; and that cannot be told: %s", trouble, error)


def _row(channel: str, gap: Gap, ended: datetime | None) -> Connectivity:
    return Connectivity(
        channel=channel,
        state=ChannelState(gap.state),
        occurred_at=gap.since,
        ended_at=ended,
        detail=gap.detail,
    )
