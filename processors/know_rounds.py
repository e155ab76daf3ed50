"""Redeliveries that were begun lately: one that is asked for twice, by two people or two clicks, is done once."""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from contracts.events import MailEvent
from contracts.raw_message import Envelope
from contracts.records import ConsumedRecord

REMEMBERED = 100_000  # of one process


class KnownRounds:
    """By mail, recipient and number of the round: the record of `mail.raw` that began it."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._began: OrderedDict[tuple[str, str, int], tuple[int, int]] = OrderedDict()
        self._remembered = remembered

    def learn(self, events: Iterable[MailEvent]) -> None:
        """What was begun before a restart, from `mail.events`."""
        for event in events:
            if event.round and not event.attempt and event.raw is not None:
                self._begin((event.mail_id, event.recipient, event.round), (event.raw.partition, event.raw.offset))

    def only_new(self, source: ConsumedRecord, envelope: Envelope) -> Envelope:
        """The redeliveries of this record that no other record has begun."""
        place = (source.partition, source.offset)
        new = [
            recipient
            for recipient, again in envelope.again.items()
            if self._begin((envelope.mail_id, recipient, again.number), place) == place
        ]
        return msgspec.structs.replace(envelope, recipients=new, again={one: envelope.again[one] for one in new})

    def _begin(self, name: tuple[str, str, int], place: tuple[int, int]) -> tuple[int, int]:
        first = self._began.setdefault(name, place)
        if len(self._began) > self._remembered:
            self._began.popitem(last=False)
        return first
