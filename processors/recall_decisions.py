"""A decision is made once: what was decided before a restart is found in `mail.events` and not decided again (DNS may answer differently
by then). `mail.events` has the partitions and the key of `mail.raw`, so the events of a record stand in the partition of its number,
behind its time.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, TopicPartition

from contracts import topics
from contracts.codec import decode
from contracts.errors import InvalidEvent, Unavailable
from contracts.events import MailEvent
from contracts.ids import received_ms
from contracts.records import ConsumedRecord
from contracts.statuses import Direction, Status
from mail.bounce_address import recipient_digest
from runtime.connect_kafka import Properties, reader
from runtime.consume import partitions_of, read_records

_log = logging.getLogger("mailscope.processors")
MARGIN_MS = 60_000  # by which two machines' clocks may differ
MOST_RECORDS = 200_000  # that one look-up reads
LATEST_MS = 3 * 3_600_000  # after a mail came, until its first event: more than `smtp.max_backlog`


@dataclass
class Tail:
    """What `mail.events` says of the records that are read again, and of the time just before them."""

    decided: dict[int, list[MailEvent]] = field(default_factory=dict)  # by the offset of the record
    rounds: list[MailEvent] = field(default_factory=list)  # what began redeliveries
    tried: dict[int, set[str]] = field(default_factory=dict)  # by the offset of the record: whose command was worked on


class Decisions:
    """What was decided about the records of `mail.raw` that are read again, and about single mails."""

    def __init__(self, kafka: Properties, direction: Direction) -> None:
        self._kafka = kafka
        self._direction = direction  # of the mails whose decisions are one's own
        self._first: dict[int, ConsumedRecord] = {}  # of each partition since it is ours
        self._tails: dict[int, asyncio.Future[Tail]] = {}

    def forget(self, partitions: Iterable[int]) -> None:
        """These partitions were given to somebody else, or come anew."""
        for partition in partitions:
            self._tails.pop(partition, None)
            self._first.pop(partition, None)

    def begin(self, source: ConsumedRecord) -> None:
        """To be called for every record in the order of its partition: what was decided is looked for from the first one on. Records are
        worked on side by side, and the first one may be the last to ask."""
        self._first.setdefault(source.partition, source)

    async def of(self, source: ConsumedRecord) -> list[MailEvent]:
        """The events that this record has led to before; [] when it is read for the first time. The first record of a partition reads its
        tail, the others wait for it, and it may be asked again until it is `decided`. Unavailable when Kafka does not answer."""
        return (await self._tail(source)).decided.get(source.offset, [])

    async def tried(self, source: ConsumedRecord) -> set[str]:
        """The recipients for whom a sink has worked on this record's command: it stands in `mail.dispatch`, and a second one would be done
        by a sink that was killed as well. Unavailable as above."""
        return (await self._tail(source)).tried.get(source.offset, set())

    async def rounds(self, source: ConsumedRecord) -> list[MailEvent]:
        """What began the redeliveries of the minute before this partition became ours. Unavailable as above."""
        return (await self._tail(source)).rounds

    async def rounds_since(self, mail_id: str, since_ms: int, partition: int) -> list[MailEvent]:
        """What began redeliveries of one mail, from a time on. Unavailable as above."""
        return await asyncio.to_thread(self._rounds_since, mail_id, since_ms, partition)

    def _rounds_since(self, mail_id: str, since_ms: int, partition: int) -> list[MailEvent]:
        events = self._events(partition, since_ms)
        return [one for one in events if one.mail_id == mail_id and one.round and not one.attempt]

    async def _tail(self, source: ConsumedRecord) -> Tail:
        tail = self._tails.get(source.partition)
        if tail is None:
            first = self._first.get(source.partition, source)
            tail = self._tails[source.partition] = asyncio.ensure_future(asyncio.to_thread(self._read_tail, first))
        try:
            return await asyncio.shield(tail)
        except Unavailable:
            if self._tails.get(source.partition) is tail:
                del self._tails[source.partition]
            raise

    def decided(self, source: ConsumedRecord) -> None:
        """What was decided before about this record is not asked for any more."""
        tail = self._tails.get(source.partition)
        if tail is not None and tail.done() and not tail.cancelled() and tail.exception() is None:
            tail.result().decided.pop(source.offset, None)
            tail.result().tried.pop(source.offset, None)

    async def look_up(self, mail_id: str, partition: int, *, elsewhere: bool = False) -> list[MailEvent]:
        """The first events of one mail, from the time that its id holds on; `elsewhere`: also where its key led before the topic has grown.
        Unavailable when Kafka does not answer."""
        found = await asyncio.to_thread(self._look_up, mail_id, partition)
        if elsewhere and not found:
            for other in await asyncio.to_thread(self._others, partition):
                if found := await asyncio.to_thread(self._look_up, mail_id, other):
                    break
        return found

    async def of_recipient(self, mail_id: str, digest: str, partition: int) -> list[MailEvent]:
        """What is known of one recipient of a mail, from its first event to the one that settled it, or to ten minutes after the mail came;
        [] when nothing is. Unavailable when Kafka does not answer."""
        return await asyncio.to_thread(self._of_recipient, mail_id, digest, partition)

    def _of_recipient(self, mail_id: str, digest: str, partition: int) -> list[MailEvent]:
        """Where the topic has grown since, the mail's key led to another partition when it came."""
        if found := self._of_recipient_in(mail_id, digest, partition):
            return found
        for number in self._others(partition):
            if found := self._of_recipient_in(mail_id, digest, number):
                return found
        return []

    def _others(self, partition: int) -> list[int]:
        return [number for number in self._partitions(topics.EVENTS) if number != partition]

    def _partitions(self, topic: str) -> list[int]:
        consumer = reader(self._kafka, "recall")
        try:
            return partitions_of(consumer, topic, 10.0)
        except KafkaException as error:
            raise Unavailable("Kafka", str(error)) from error
        finally:
            consumer.close()

    def _of_recipient_in(self, mail_id: str, digest: str, partition: int) -> list[MailEvent]:
        found: list[MailEvent] = []
        received = received_ms(mail_id)

        def over(record: ConsumedRecord) -> bool:  # of an old mail the topic holds nothing any more
            return record.timestamp_ms > received + (10 * MARGIN_MS if found else LATEST_MS)

        for event in self._events(partition, received, over):
            if event.mail_id == mail_id and recipient_digest(event.recipient) == digest:
                found.append(event)
                if event.terminal:
                    break
        return found

    def _read_tail(self, source: ConsumedRecord) -> Tail:
        self._compare_partitions()
        known = Tail()
        for event in self._events(source.partition, source.timestamp_ms):
            raw = event.raw
            if event.direction is not self._direction or raw is None:
                continue
            if (raw.topic, raw.partition) != (source.topic, source.partition):
                continue
            if event.attempt or event.status is Status.DEFERRED:  # of an attempt, or parked
                if raw.offset >= source.offset:
                    known.tried.setdefault(raw.offset, set()).add(event.recipient)
                continue
            if event.round:
                known.rounds.append(event)
            if raw.offset >= source.offset:
                known.decided.setdefault(raw.offset, []).append(event)
        if known.decided:
            _log.info("%d mails behind %s have been decided before", len(known.decided), source)
        return known

    def _look_up(self, mail_id: str, partition: int) -> list[MailEvent]:
        found: list[MailEvent] = []
        until = received_ms(mail_id) + 10 * MARGIN_MS

        def over(record: ConsumedRecord) -> bool:
            return bool(found) and record.timestamp_ms > until

        for event in self._events(partition, received_ms(mail_id), over):
            if event.mail_id == mail_id and not event.attempt:
                found.append(event)
        return found

    def _events(
        self, partition: int, from_ms: int, over: Callable[[ConsumedRecord], bool] = lambda record: False
    ) -> Iterator[MailEvent]:
        consumer = reader(self._kafka, "recall", fetch_wait_max_ms=50)
        try:
            if partition not in partitions_of(consumer, topics.EVENTS, 10.0):
                return  # the topic that led here has grown alone
            where = TopicPartition(topics.EVENTS, partition, max(0, from_ms - MARGIN_MS))
            (begin,) = consumer.offsets_for_times([where], 10.0)
            _, end = consumer.get_watermark_offsets(where, 10.0)
            if begin.offset < 0:
                return
            consumer.assign([TopicPartition(topics.EVENTS, partition, begin.offset)])
            read = 0
            while read < MOST_RECORDS:
                records = read_records(consumer, 500, 10.0)
                if not records:
                    position = consumer.position([TopicPartition(topics.EVENTS, partition)])[0].offset
                    if max(position, begin.offset) >= end:
                        return
                    raise Unavailable("Kafka", f"{topics.EVENTS}[{partition}] could not be read to its end")
                for record in records:
                    read += 1
                    if record.offset >= end or over(record):
                        return
                    try:
                        yield decode(record.value, MailEvent)
                    except InvalidEvent:
                        continue
                    if record.offset == end - 1:
                        return
        except KafkaException as error:
            raise Unavailable("Kafka", str(error)) from error
        finally:
            consumer.close()

    def _compare_partitions(self) -> None:
        """Where an operator grew one of the topics alone, a mail's events stand in another partition than its record."""
        if len(self._partitions(topics.RAW)) != len(self._partitions(topics.EVENTS)):
            _log.warning(
                "mail.raw and mail.events differ in their partitions: a restart decides anew what it reads again"
            )
