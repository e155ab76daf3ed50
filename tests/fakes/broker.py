"""What the tests of stages share: settings for a broker, commands to work on, and what stands in a topic."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from contracts import clock
from contracts.codec import HEADERS, encode_dispatch
from contracts.events import Action, Dispatch, RawPointer, Summary, Target
from contracts.ids import new_mail_id
from contracts.records import Record
from contracts.settings import Settings
from contracts.statuses import Direction
from runtime.publish import Publisher


def settings_of(bootstrap: str, folder: Path, **changes: Any) -> Settings:
    """Two partitions, two short retry delays, everything in `folder`."""
    base: dict[str, Any] = {
        "data_dir": str(folder),
        "kafka": {"bootstrap": bootstrap, "partitions": 2},
        "delivery": {"retry": ["1s", "2s"], "expire": "1h"},
        **changes,
    }
    return Settings.model_validate(base)


def command(recipient: str, *, not_before: datetime | None = None, action: Action = Action.DELIVER) -> Dispatch:
    now = clock.now()
    return Dispatch(
        mail_id=new_mail_id(),
        recipient=recipient,
        direction=Direction.OUTBOUND,
        action=action,
        not_before=not_before,
        expires_at=now + timedelta(hours=1),
        raw=RawPointer(topic="mail.raw", partition=0, offset=0),
        mail=Summary(received_at=now),
        targets=[Target(address=recipient)],
    )


def record(one: Dispatch, topic: str = "mail.dispatch", partition: int = 0) -> Record:
    return Record(topic, one.mail_id, encode_dispatch(one, "test"), HEADERS, partition)


@contextlib.asynccontextmanager
async def publishing(bootstrap: str, ack_within: float = 20.0) -> AsyncIterator[Publisher]:
    publisher = Publisher({"bootstrap.servers": bootstrap}, timeout=ack_within)
    try:
        yield publisher
    finally:
        await publisher.close(1)


async def wait_until(what: Callable[[], object], at_most: float = 30.0) -> None:
    """Until `what()` is true; AssertionError when it does not come true."""
    deadline = time.monotonic() + at_most
    while not await asyncio.to_thread(what):
        assert time.monotonic() < deadline, f"not within {at_most} s"
        await asyncio.sleep(0.02)


def read_topic(bootstrap: str, topic: str) -> list[Message]:
    """Every record that the topic holds now."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    found: list[Message] = []
    try:
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        ends = 0
        while ends < len(partitions):
            message = consumer.poll(20)
            assert message is not None, "the broker went silent"
            error = message.error()
            if error is None:
                found.append(message)
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ends += 1
        return found
    finally:
        consumer.close()


def committed(bootstrap: str, group: str, topic: str, partition: int = 0) -> TopicPartition:
    """What a group has committed."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    try:
        (found,) = consumer.committed([TopicPartition(topic, partition)], 10)
        return found
    finally:
        consumer.close()
