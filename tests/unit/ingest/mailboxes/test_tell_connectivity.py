"""Which mails a gap made late."""

from datetime import timedelta
from typing import Any, cast

from contracts import clock
from contracts.codec import decode
from contracts.events import ChannelState, Connectivity
from contracts.records import Record
from contracts.shared_state import Gap
from ingest.mailboxes import tell_connectivity
from ingest.mailboxes.speak_imap import MailboxTrouble
from ingest.mailboxes.tell_connectivity import NAMED, ChannelHealth


class Told:
    """The notes of a mailbox and a publisher, in one: keeps the gap, and what was told."""

    def __init__(self) -> None:
        self.known: Gap | None = None
        self.changes: list[Connectivity] = []

    def gap(self, channel: str) -> Gap | None:
        return self.known

    async def note_gap(self, channel: str, gap: Gap | None) -> None:
        self.known = gap

    async def publish(self, record: Record) -> None:
        self.changes.append(decode(record.value, Connectivity))


async def test_the_mails_that_arrived_in_a_gap_are_named_and_no_others(monkeypatch: Any) -> None:
    told, now = Told(), clock.now()
    monkeypatch.setattr(tell_connectivity.clock, "now", lambda: now)
    health = ChannelHealth("legacy", cast(Any, told), cast(Any, told))
    await health.works()
    health.took("before any gap", now)
    await health.trouble(MailboxTrouble(ChannelState.CONNECTION_DROPPED, "EOF"))
    began, now = now, now + timedelta(minutes=5)
    await health.works()
    for mail_id, arrived in (("early", -1), ("first", 0), ("second", 299), ("after", 301)):
        health.took(mail_id, began + timedelta(seconds=arrived))
    health.took("without a date", None)
    await health.caught_up()
    health.took("too late to count", began)
    await health.caught_up()
    last = told.changes[-1]
    assert (last.state, last.occurred_at, last.ended_at) == (ChannelState.CONNECTION_DROPPED, began, now)
    assert (last.delayed, last.delayed_mails) == (2, ["first", "second"])
    assert sum(bool(one.delayed) for one in told.changes) == 1


async def test_a_long_list_is_cut_and_counted_whole() -> None:
    told = Told()
    health = ChannelHealth("legacy", cast(Any, told), cast(Any, told))
    await health.trouble(MailboxTrouble(ChannelState.AUTH_FAILED, "no"))
    await health.works()
    for number in range(NAMED + 5):
        health.took(str(number), told.changes[0].occurred_at)
    await health.caught_up()
    assert (told.changes[-1].delayed, len(told.changes[-1].delayed_mails)) == (NAMED + 5, NAMED)
