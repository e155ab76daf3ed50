"""What was taken from the polled mailboxes, agreed on by all processes: `mail.mailboxes` (decision 15).

A mailbox has one poller. Whoever becomes it writes a note of a new generation, and a poller that was away and does not know reads that
note behind its own one: it takes nothing more. Each mail is noted before it is written to `mail.raw`, with the mail_id that it will have
there, so that of all mails the last one alone can be in doubt after a kill, and is then written again under the same id.

All notes stand in one partition, in one order. Memory: some 200 octets for each of the last REMEMBERED mails of each mailbox.
"""

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import islice

from contracts import clock, topics
from contracts.codec import HEADERS, decode, encode_mailbox_note
from contracts.errors import InvalidEvent
from contracts.records import ConsumedRecord, Record
from contracts.shared_state import Gap, MailboxNote, TakenMail, note_key
from runtime.connect_kafka import Properties
from runtime.follow_table import TopicFollower
from runtime.publish import Publisher

PARTITION = 0
REMEMBERED = 10_000  # mails of a mailbox that are known again under other UIDs
SOURCE = "mailscope/mailboxes"
Folder = tuple[str, int]  # mailbox, UIDVALIDITY

_log = logging.getLogger("mailscope.mailboxes")


class Superseded(Exception):
    """Another process polls this mailbox by now."""


@dataclass
class _Channel:
    owner: str = ""
    generation: int = 0
    settled: bool = True
    gap: Gap | None = None
    latest: TakenMail | None = None
    states: set[str] = field(default_factory=set)  # the keys of its pollers' notes
    last: dict[Folder, int] = field(default_factory=dict)  # the highest UID that was taken
    taken: "OrderedDict[str, tuple[Folder, bytes]]" = field(default_factory=OrderedDict)  # by the key of their notes
    folders: dict[bytes, set[Folder]] = field(default_factory=dict)  # by digest

    def remember(self, key: str, folder: Folder, digest: bytes) -> None:
        """A mail that was taken; without a digest it cannot be known again."""
        self.taken[key] = (folder, digest)
        if digest:
            self.folders.setdefault(digest, set()).add(folder)

    def forget(self, key: str) -> None:
        """It is not known again under other UIDs."""
        self.states.discard(key)
        folder, digest = self.taken.pop(key, (("", 0), b""))
        folders = self.folders.get(digest, set())
        folders.discard(folder)
        if not folders:
            self.folders.pop(digest, None)


class NoteOrder:
    """What the notes amount to, in their order. Safe for threads."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._lock = threading.Lock()
        self._channels: dict[str, _Channel] = {}

    def take(self, record: ConsumedRecord) -> None:
        """One record. One that cannot be read is told in the log, and stands for nothing."""
        key = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            with self._lock:
                for known in self._channels.values():
                    known.forget(key)
            return
        try:
            note = decode(record.value, MailboxNote)
            digest = bytes.fromhex(note.taken.digest) if note.taken is not None else b""
        except (InvalidEvent, ValueError) as error:
            _log.error("%s is left out: %s", record, error)
            return
        with self._lock:
            _apply(self._channel(note.channel), key, note, digest)

    def of(self, channel: str) -> _Channel:
        """What is known of a channel, at this moment."""
        with self._lock:
            return self._channel(channel)

    def in_doubt(self, channel: str) -> TakenMail | None:
        """The mail that may not stand in `mail.raw`; None when all do."""
        known = self.of(channel)
        return known.latest if known.latest is not None and known.latest.mail_id and not known.settled else None

    def knows(self, channel: str, folder: Folder, digest: str) -> bool:
        """Whether a mail of these octets was taken under another UIDVALIDITY, or from where the mailbox was before."""
        octets = bytes.fromhex(digest)
        with self._lock:
            return bool(self._channel(channel).folders.get(octets, set()) - {folder})

    def forget_old(self, channel: str) -> list[str]:
        """The keys of the notes beyond the bound, which are not known any more."""
        with self._lock:
            known = self._channel(channel)
            old = list(islice(known.taken, max(0, len(known.taken) - self._remembered)))
            for key in old:
                known.forget(key)
        return old

    def forget(self, channel: str, mail: TakenMail) -> list[str]:
        """The keys of a mail's notes, whichever generation wrote them; it is not known by its octets any more."""
        begin = f"{channel} {mail.mailbox} {mail.uid_validity} {mail.uid} "
        with self._lock:
            known = self._channel(channel)
            keys = [key for key in known.taken if key.startswith(begin)]
            for key in keys:
                known.forget(key)
        return keys

    def _channel(self, channel: str) -> _Channel:
        return self._channels.setdefault(channel, _Channel())


def _apply(known: _Channel, key: str, note: MailboxNote, digest: bytes) -> None:
    if note.taken is None:
        known.states.add(key)
    if note.generation < known.generation or (
        note.generation == known.generation and known.owner not in ("", note.owner)
    ):
        return  # of a poller that had been superseded when it wrote this
    known.owner, known.generation = note.owner, note.generation
    if note.taken is None:
        known.settled, known.gap = note.settled, note.gap
        return
    one = note.taken
    folder = (one.mailbox, one.uid_validity)
    known.remember(key, folder, digest)
    known.last[folder] = max(known.last.get(folder, 0), one.uid)
    known.latest, known.settled = one, False


class TakenMails:
    """The notes, as this process knows them and writes them, from one event loop."""

    def __init__(self, kafka: Properties, publisher: Publisher, owner: str) -> None:
        """`owner` is the name of this process among its like."""
        self._publisher = publisher
        self._owner = owner
        self._order = NoteOrder()
        self._generations: dict[str, int] = {}  # ours, by channel
        self._follower = TopicFollower(kafka, topics.MAILBOXES, self._order.take)

    async def ready(self) -> None:
        """Wait until all notes are known. Unavailable when Kafka does not tell in time."""
        await self._follower.ready()

    async def own(self, channel: str) -> None:
        """Become the poller of a mailbox: from here on no other one takes anything. Unavailable when Kafka does not answer."""
        await self._follower.ready()
        await self._follower.catch_up()
        while True:
            self._generations[channel] = self._order.of(channel).generation + 1
            await self._note_state(channel)
            if self._is_ours(channel):
                break
        ours = note_key(self._note(channel))
        await self._delete([key for key in list(self._order.of(channel).states) if key != ours])

    def last_uid(self, channel: str, folder: Folder) -> int:
        """The highest UID that was taken; 0 when none was."""
        return self._order.of(channel).last.get(folder, 0)

    def in_doubt(self, channel: str) -> TakenMail | None:
        """The mail that may not stand in `mail.raw`; None when all do."""
        return self._order.in_doubt(channel)

    def knows(self, channel: str, folder: Folder, digest: str) -> bool:
        """Whether a mail of these octets was taken under another UIDVALIDITY, or from where the mailbox was before."""
        return self._order.knows(channel, folder, digest)

    def gap(self, channel: str) -> Gap | None:
        """Since when the mailbox cannot be read, as its pollers have told."""
        return self._order.of(channel).gap

    async def take(self, channel: str, mail: TakenMail) -> None:
        """Note a mail before it is written to `mail.raw`. Superseded when that is another process's business by now, Unavailable when
        Kafka does not take it."""
        await self._write(self._note(channel, taken=mail))
        self._check(channel)
        await self._delete(self._order.forget_old(channel))

    async def forget(self, channel: str, mail: TakenMail) -> None:
        """A mail in doubt is not to be known by its octets: it may not have got into `mail.raw`. Unavailable."""
        await self._delete(self._order.forget(channel, mail))

    async def settle(self, channel: str) -> None:
        """All that was taken stands in `mail.raw`. Superseded, Unavailable."""
        if not self._order.of(channel).settled:
            await self._note_state(channel, settled=True)
            self._check(channel)

    async def note_gap(self, channel: str, gap: Gap | None) -> None:
        """The mailbox cannot be read, or can be again. Superseded, Unavailable."""
        await self._note_state(channel, gap=gap)
        self._check(channel)

    async def close(self) -> None:
        """Stop following."""
        await self._follower.close()

    def _is_ours(self, channel: str) -> bool:
        known = self._order.of(channel)
        return known.owner == self._owner and known.generation == self._generations[channel]

    def _check(self, channel: str) -> None:
        if not self._is_ours(channel):
            raise Superseded(channel)

    def _note(
        self, channel: str, *, taken: TakenMail | None = None, settled: bool = False, gap: Gap | None = None
    ) -> MailboxNote:
        return MailboxNote(
            channel=channel,
            owner=self._owner,
            generation=self._generations[channel],
            at=clock.now(),
            taken=taken,
            settled=settled,
            gap=gap,
        )

    async def _note_state(self, channel: str, **changes: object) -> None:
        known = self._order.of(channel)
        state = {"settled": known.settled, "gap": known.gap, **changes}
        await self._write(self._note(channel, **state))  # type: ignore[arg-type]

    async def _write(self, note: MailboxNote) -> None:
        record = Record(topics.MAILBOXES, note_key(note), encode_mailbox_note(note, SOURCE), HEADERS, PARTITION)
        await self._follower.read_up_to(await self._publisher.publish_at(record))

    async def _delete(self, keys: list[str]) -> None:
        await self._publisher.publish_all([Record(topics.MAILBOXES, key, None, [], PARTITION) for key in keys])
