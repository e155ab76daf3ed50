"""Dead letters: a record that cannot be used is kept, untouched, with the reason beside it."""

import logging

import msgspec
from confluent_kafka import Message

from contracts import metrics, topics
from contracts.errors import InvalidEvent
from contracts.events import DeadLetter
from runtime.publish import Record

_log = logging.getLogger("mailscope.dead_letter")
HEADER = "mailscope-dead-letter"


def dead_letter(
    stage: str,
    why: InvalidEvent,
    *,
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[str, bytes]] | None,
) -> Record:
    """The record to publish, its own headers kept. The source is committed only after this one is acknowledged; a dead
    letter that cannot be written stops the stage."""
    letter = DeadLetter(
        stage=stage, reason=why.reason, detail=why.detail[:2000], topic=topic, partition=partition, offset=offset
    )
    metrics.dead_letters.labels(stage, why.reason).inc()
    _log.error("%s put aside %s[%d]@%d: %s", stage, topic, partition, offset, why)
    return Record(
        topic=topics.DEADLETTER,
        key=(key or b"").decode("utf-8", "replace"),
        value=value,
        headers=[*(headers or []), (HEADER, msgspec.json.encode(letter))],
    )


def dead_letter_of(stage: str, why: InvalidEvent, message: Message) -> Record:
    """The dead letter of a record as the confluent consumer gives it."""
    return dead_letter(
        stage,
        why,
        topic=str(message.topic()),
        partition=int(message.partition() or 0),
        offset=int(message.offset() or 0),
        key=message.key(),
        value=message.value(),
        headers=message.headers(),
    )


def read_dead_letter(headers: list[tuple[str, bytes]] | None) -> DeadLetter:
    """Why a record of `mail.deadletter` was put aside. InvalidEvent when it does not say."""
    for name, value in headers or []:
        if name == HEADER:
            try:
                return msgspec.json.decode(value, type=DeadLetter)
            except msgspec.MsgspecError as error:
                raise InvalidEvent("wrong_dead_letter", str(error)) from error
    raise InvalidEvent("wrong_dead_letter", "the header is missing")
