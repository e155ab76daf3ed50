"""The process that polls mailboxes. Several of them share the channels: each mailbox has one poller at a time.

The partitions of `mail.mailboxes` are shared out by Kafka's group; a channel goes with the partition that follows from its name.
"""

import asyncio
import logging
import threading
import zlib
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, TopicPartition

from contracts import topics
from contracts.settings import Settings
from contracts.stages import group_of
from ingest.hold_message import MessageHolder
from ingest.mailboxes.note_taken import TakenMails
from ingest.mailboxes.poll_mailbox import MailboxPoller
from runtime.blobs import open_blobs
from runtime.budget_octets import OctetBudget
from runtime.connect_kafka import group_member, leave_group
from runtime.consume import partitions_of
from runtime.end_process import end_process
from runtime.health import Readiness
from runtime.publish import Publisher
from runtime.run_stage import instance_name
from runtime.start_thread import start_thread

_log = logging.getLogger("mailscope.mailboxes")
ACK_TIMEOUT = 20.0  # seconds that a record may wait for its acknowledgement
GRACE = 15.0  # seconds that a rebalance waits for what is being taken


async def poll_mailboxes(settings: Settings, stop: asyncio.Event, readiness: Readiness) -> None:
    """Poll until told to stop. Unavailable when Kafka does not answer at the start."""
    publisher = Publisher(settings.kafka_client, timeout=ACK_TIMEOUT, linger_ms=0.5)
    for topic in (topics.RAW, topics.MAILBOXES, topics.CONNECTIVITY):
        await publisher.warm_up(topic)
    notes = TakenMails(settings.kafka_client, publisher, instance_name("mailboxes"))
    holder = MessageHolder(publisher, open_blobs(settings), settings.blobs.threshold)
    memory = OctetBudget(settings.smtp.memory)

    def poller(name: str) -> MailboxPoller:
        return MailboxPoller(name, settings.channels[name], settings, holder, notes, memory)

    await notes.ready()
    pollers = Pollers(list(settings.mailboxes), poller)
    member = Member(settings, pollers)
    readiness.set()
    _log.info("polling: %s", ", ".join(settings.mailboxes) or "no mailboxes are configured")
    await stop.wait()
    readiness.set("stopping")
    await asyncio.to_thread(member.close)
    await pollers.keep(set())
    await notes.close()
    await publisher.close(2)


class Pollers:
    """The pollers that run in this process."""

    def __init__(self, names: list[str], make: Callable[[str], MailboxPoller]) -> None:
        self._names = names
        self._make = make
        self._running: dict[str, tuple[MailboxPoller, asyncio.Task[None]]] = {}

    def names_in(self, partitions: set[int], of: int) -> set[str]:
        """The channels that go with these partitions."""
        return {name for name in self._names if of and zlib.crc32(name.encode()) % of in partitions}

    async def keep(self, wanted: set[str]) -> None:
        """Run these and no others. Returns when the others have ended."""
        ending = []
        for name in self._running.keys() - wanted:
            one, task = self._running.pop(name)
            one.stop()
            ending.append(task)
        if ending:
            await asyncio.wait(ending, timeout=GRACE)
            for task in ending:
                task.cancel()
        for name in wanted - self._running.keys():
            one = self._make(name)
            task = asyncio.get_running_loop().create_task(one.run(), name=f"poll {name}")
            task.add_done_callback(_ended)
            self._running[name] = (one, task)


class Member:
    """The membership of the group, in a thread of its own. Nothing is read: what is assigned says whom we poll."""

    def __init__(self, settings: Settings, pollers: Pollers) -> None:
        self._pollers = pollers
        self._loop = asyncio.get_running_loop()
        self._closing = threading.Event()
        group = group_of("mailboxes", topics.MAILBOXES)
        self._consumer = group_member(settings.kafka_client, group, instance_name("mailboxes"))
        self._thread = start_thread("mailboxes member", self._run)

    def close(self) -> None:
        """Give back what is ours. Called while the loop runs, not in it."""
        self._closing.set()
        self._thread.join(2 * GRACE)

    def _run(self) -> None:
        self._consumer.subscribe(
            [topics.MAILBOXES], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
        while not self._closing.is_set():
            self._consumer.poll(0.2)
        leave_group(self._consumer)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.assign(partitions)
        consumer.pause(partitions)
        while not self._closing.is_set():
            try:
                known = partitions_of(consumer, topics.MAILBOXES, 5.0)
            except KafkaException as error:
                _log.warning("the partitions of %s are not known: %s", topics.MAILBOXES, error)
                continue
            self._poll(self._pollers.names_in({part.partition for part in partitions}, len(known)))
            return

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._poll(set())

    def _poll(self, names: set[str]) -> None:
        _log.info("ours: %s", ", ".join(sorted(names)) or "none")
        asyncio.run_coroutine_threadsafe(self._pollers.keep(names), self._loop).result(2 * GRACE)


def _ended(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        end_process(f"{task.get_name()} broke: {error}", error)
