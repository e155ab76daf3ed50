"""Redeliveries that were begun lately: one that is asked for twice, by two people or two clicks, is done once."""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from contracts import clock
from contracts.events import MailEvent
from contracts.raw_message import Envelope
from contracts.records import ConsumedRecord
from processors.recall_decisions import MARGIN_MS, Decisions

REMEMBERED = 100_000  # of one process
_Began = tuple[
    int, int, int
]  # number of the round, and the partition and offset of the record of `mail.raw` that began it


class KnownRounds:
    """By mail and recipient: the latest round, and the record that began it."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._began: OrderedDict[tuple[str, str], _Began] = OrderedDict()
        self._remembered = remembered

    async def begin(self, source: ConsumedRecord, envelope: Envelope, decisions: Decisions) -> Envelope:
        """`only_new`, with what was begun before a restart. A record that was written long after it was asked for (a dead letter that is
        replayed, or what was parked) may come after a later round. Unavailable when Kafka does not answer."""
        self.learn(await decisions.rounds(source))
        asked = min((clock.to_ms(again.at) for again in envelope.again.values()), default=source.timestamp_ms)
        if source.timestamp_ms - asked > MARGIN_MS:
            self.learn(await decisions.rounds_since(envelope.mail_id, asked, source.partition))
        return self.only_new(source, envelope)

    def learn(self, events: Iterable[MailEvent]) -> None:
        """What was begun before a restart, from `mail.events`."""
        for event in events:
            if event.round and not event.attempt and event.raw is not None:
                self._begin((event.mail_id, event.recipient), (event.round, event.raw.partition, event.raw.offset))

    def only_new(self, source: ConsumedRecord, envelope: Envelope) -> Envelope:
        """The redeliveries of this record that no other record has begun, nor a later one."""
        new = [
            recipient
            for recipient, again in envelope.again.items()
            if self._begin((envelope.mail_id, recipient), (again.number, source.partition, source.offset))
        ]
        return msgspec.structs.replace(envelope, recipients=new, again={one: envelope.again[one] for one in new})

    def give_up(self, source: ConsumedRecord, envelope: Envelope) -> None:
        """This record has begun nothing after all: it is parked, and written once more, or put aside. The next one may."""
        for recipient, again in envelope.again.items():
            name = (envelope.mail_id, recipient)
            if self._began.get(name) == (again.number, source.partition, source.offset):
                del self._began[name]

    def _begin(self, name: tuple[str, str], round_: _Began) -> bool:
        known = self._began.get(name)
        if known is not None and known[0] >= round_[0]:
            return known == round_
        self._began[name] = round_
        if len(self._began) > self._remembered:
            self._began.popitem(last=False)
        return True
