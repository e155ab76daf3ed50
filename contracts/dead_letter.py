"""Dead letters: a record that cannot be used is kept, untouched, with the reason beside it."""

import logging

import msgspec

from contracts import metrics, topics
from contracts.errors import InvalidEvent
from contracts.events import DeadLetter
from contracts.publish import Record

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


def read_dead_letter(headers: list[tuple[str, bytes]] | None) -> DeadLetter:
    """Why a record of `mail.deadletter` was put aside. InvalidEvent when it does not say."""
    for name, value in headers or []:
        if name == HEADER:
            try:
                return msgspec.json.decode(value, type=DeadLetter)
            except msgspec.MsgspecError as error:
                raise InvalidEvent("wrong_dead_letter", str(error)) from error
    raise InvalidEvent("wrong_dead_letter", "the header is missing")
