"""Dead letters: a record that cannot be used is kept, untouched, with the reason beside it. Pure; `runtime/put_aside.py` counts them."""

import msgspec

from contracts import topics
from contracts.errors import InvalidEvent
from contracts.events import DeadLetter
from contracts.raw_message import ENVELOPE, RawType, accepted_reply, decode_headers
from contracts.records import ConsumedRecord, Headers, Record

HEADER = "mailscope-dead-letter"


def dead_letter(stage: str, why: InvalidEvent, source: ConsumedRecord) -> Record:
    """The record to publish, its own headers kept. The source is committed only after this one is acknowledged; a dead
    letter that cannot be written stops the stage."""
    letter = DeadLetter(
        stage=stage,
        reason=why.reason,
        detail=why.detail[:2000],
        topic=source.topic,
        partition=source.partition,
        offset=source.offset,
    )
    return Record(
        topic=topics.DEADLETTER,
        key=(source.key or b"").decode("utf-8", "replace"),
        value=source.value,
        headers=[*source.headers, (HEADER, msgspec.json.encode(letter))],
    )


def read_dead_letter(headers: Headers | None) -> DeadLetter:
    """Why a record of `mail.deadletter` was put aside. InvalidEvent when it does not say."""
    for name, value in headers or []:
        if name == HEADER:
            try:
                return msgspec.json.decode(value, type=DeadLetter)
            except msgspec.MsgspecError as error:
                raise InvalidEvent("wrong_dead_letter", str(error)) from error
    raise InvalidEvent("wrong_dead_letter", "the header is missing")


def replayed_headers(topic: str, headers: Headers) -> Headers:
    """The headers of a dead letter for its way back to `topic`. The sender of a message heard 250 when it was put aside, so what is refused
    now is late."""
    kept = [(name, value) for name, value in headers if name != HEADER]
    if topic != topics.RAW:
        return kept
    try:
        envelope = decode_headers(kept)
    except InvalidEvent:
        return kept
    if envelope.type is not RawType.ACCEPTED or envelope.answered:
        return kept
    told = msgspec.json.encode(msgspec.structs.replace(envelope, answered=accepted_reply(envelope.mail_id)))
    return [(name, told if name == ENVELOPE else value) for name, value in kept]
