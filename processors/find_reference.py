"""The request that a mail answers: of its In-Reply-To and References, the first one that belongs to a mail whose key is known; else the
key that its subject names.

Keys come from handlers (`processed`, with a reference) and from mail that our applications sent with one. They stand in `mail.threads`,
by a digest of the Message-ID, for as long as the log, and every worker knows the newest KNOWN of them (some 400 octets each).

A Message-ID can hardly be guessed, a key can: anybody may write IT-42 into a subject. So a key in a subject counts for the handler that
gave it and for no other, is a hint to that handler, and gives no mail to anybody who would not have got it (decision 16).
"""

import hashlib
import re
import sys
import threading
from collections import OrderedDict
from itertools import islice

from contracts import topics
from contracts.codec import HEADERS, decode, encode_thread
from contracts.errors import InvalidEvent
from contracts.events import MailEvent, Outcome
from contracts.records import ConsumedRecord, Record
from contracts.shared_state import Thread
from contracts.statuses import Status
from mail.parse_headers import Message
from processors.decision import Answered
from processors.publish_events import SOURCE
from processors.summarise import MAX_SUBJECT, first_text
from runtime.connect_kafka import Properties
from runtime.follow_table import TopicFollower

KNOWN = 500_000
MOST_IDS = 30  # Message-IDs of one mail that are looked for, the nearest ones
MOST_KEYS = 10  # words of a subject that are looked up
LONGEST_KEY = 200  # characters
# `[anything]`, `#4711`, `IT-42`: a number or a word alone is no key, since people write those for other reasons.
_KEY = re.compile(
    r"\[#?([^\[\]\s]{1,200})\]|(?<![\w#-])#(\d{1,18})(?![\w-])|(?<![\w-])([^\W\d_]\w{0,19}-\d{1,18})(?![\w-])"
)
_ID = re.compile(r"<([^<>\s]{1,998})>")


class ThreadKeys:
    """The keys by Message-ID, as they are told. Safe for threads."""

    def __init__(self, most: int = KNOWN) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._keys: OrderedDict[bytes, str] = OrderedDict()
        # By key, in lower case: each handler that gave it, and how that one wrote it.
        self._given: OrderedDict[str, tuple[tuple[str, str], ...]] = OrderedDict()

    def take(self, record: ConsumedRecord) -> None:
        """One record of `mail.threads`. One that cannot be read says nothing."""
        try:
            thread = decode(record.value, Thread)
            digest = bytes.fromhex(thread.message_id_digest)
        except (InvalidEvent, ValueError):
            return
        with self._lock:
            self._keys.pop(digest, None)
            self._keys[digest] = thread.reference
            if len(self._keys) > self._most:
                self._keys.popitem(last=False)
            if thread.handler:
                name = thread.reference.lower()
                others = (one for one in self._given.pop(name, ()) if one[0] != thread.handler)
                self._given[name] = (*others, (sys.intern(thread.handler), thread.reference))
                if len(self._given) > self._most:
                    self._given.popitem(last=False)

    def named(self, subject: str) -> dict[str, str]:
        """By handler, the first key in a subject that this handler gave."""
        found: dict[str, str] = {}
        with self._lock:
            for name in named_keys(subject):
                found = {**dict(self._given.get(name.lower(), ())), **found}
        return found

    def find(self, message: Message) -> str:
        """The key of the nearest mail that this one answers; "" for none."""
        with self._lock:
            for message_id in answered_ids(message):
                found = self._keys.get(bytes.fromhex(_digest(message_id)))
                if found is not None:
                    return found
        return ""


class Threads:
    """The same, followed."""

    def __init__(self, kafka: Properties) -> None:
        self._keys = ThreadKeys()
        self._follower = TopicFollower(kafka, topics.THREADS, self._keys.take)

    async def find(self, message: Message, before: list[MailEvent]) -> Answered:
        """Which request a mail is about. What was decided about it `before` stays. Unavailable when Kafka cannot tell."""
        if before:
            # The first event of a recipient has what its handler was told, a later one what the handler said.
            return Answered(decided={event.recipient: event.mail.reference for event in reversed(before)})
        subject = first_text(message, b"subject", MAX_SUBJECT)
        if not answered_ids(message) and not named_keys(subject):
            return Answered()
        await self._follower.ready()
        return Answered(self._keys.find(message), self._keys.named(subject))


def named_keys(subject: str) -> list[str]:
    """What may be a key in a subject, in its order, at most MOST_KEYS."""
    found = (next(filter(None, one.groups())) for one in _KEY.finditer(subject))
    return list(islice(dict.fromkeys(found), MOST_KEYS))


def answered_ids(message: Message) -> list[str]:
    """The Message-IDs that a mail answers, without brackets, the nearest first (RFC 5322 section 3.6.4), at most MOST_IDS."""
    found: list[str] = []
    for name in (b"in-reply-to", b"references"):
        for field in message.all(name)[:1]:
            found += reversed(_ID.findall(field.text())[-MOST_IDS:])
    return list(dict.fromkeys(found))[:MOST_IDS]


def thread_records(events: list[MailEvent]) -> list[Record]:
    """What is to be known of mail that has a key: it was taken by a handler, or was sent with it."""
    keys = {
        (event.mail.message_id, event.mail.reference, given_by(event)): event
        for event in events
        if event.mail.reference and event.status in (Status.PROCESSED, Status.SENT)
    }
    return [_record(event, by) for (message_id, _, by), event in keys.items() if message_id or by]


def given_by(event: MailEvent) -> str:
    """The handler that gave a mail its key; "" where none did."""
    given = (one.target for one in event.attempts if one.outcome is Outcome.ACCEPTED and one.reference)
    return next(given, "") if event.status is Status.PROCESSED else ""


def _record(event: MailEvent, handler: str) -> Record:
    reference = event.mail.reference[:LONGEST_KEY]
    # Nobody can answer a mail without a Message-ID; its key can be named all the same. No Message-ID has a NUL in it.
    digest = _digest(event.mail.message_id or f"{handler}\0{reference}")
    thread = Thread(message_id_digest=digest, reference=reference, handler=handler, at=event.occurred_at)
    return Record(topics.THREADS, digest, encode_thread(thread, SOURCE), HEADERS)


def _digest(message_id: str) -> str:
    return hashlib.sha256(message_id.encode("utf-8", "replace")).hexdigest()[:32]
