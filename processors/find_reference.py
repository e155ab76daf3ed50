"""The request that a mail answers: of its In-Reply-To and References, the first one that belongs to a mail whose key is known.

Keys come from handlers (`processed`, with a reference) and from mail that our applications sent with one. They stand in `mail.threads`,
by a digest of the Message-ID, for as long as the log, and every worker knows the newest KNOWN of them (some 150 octets each).
"""

import hashlib
import re
import threading
from collections import OrderedDict

from contracts import topics
from contracts.codec import HEADERS, decode, encode_thread
from contracts.errors import InvalidEvent
from contracts.events import MailEvent
from contracts.records import ConsumedRecord, Record
from contracts.shared_state import Thread
from contracts.statuses import Status
from mail.parse_headers import Message
from processors.publish_events import SOURCE
from runtime.connect_kafka import Properties
from runtime.follow_table import TopicFollower

KNOWN = 500_000
MOST_IDS = 30  # Message-IDs of one mail that are looked for, the nearest ones
_ID = re.compile(r"<([^<>\s]{1,998})>")


class ThreadKeys:
    """The keys by Message-ID, as they are told. Safe for threads."""

    def __init__(self, most: int = KNOWN) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._keys: OrderedDict[bytes, str] = OrderedDict()

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

    async def find(self, message: Message, before: list[MailEvent]) -> str:
        """The key of the request that a mail answers. What was decided about it `before` stays. Unavailable when Kafka cannot tell."""
        if before:
            return before[0].mail.reference
        if not answered_ids(message):
            return ""
        await self._follower.ready()
        return self._keys.find(message)


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
        event.mail.message_id: event
        for event in events
        if event.mail.message_id and event.mail.reference and event.status in (Status.PROCESSED, Status.SENT)
    }
    return [_record(message_id, event) for message_id, event in keys.items()]


def _record(message_id: str, event: MailEvent) -> Record:
    digest = _digest(message_id)
    thread = Thread(message_id_digest=digest, reference=event.mail.reference[:200], at=event.occurred_at)
    return Record(topics.THREADS, digest, encode_thread(thread, SOURCE), HEADERS)


def _digest(message_id: str) -> str:
    return hashlib.sha256(message_id.encode("utf-8", "replace")).hexdigest()[:32]
