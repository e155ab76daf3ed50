"""What is done with Kafka itself is written down as the console writes it, and before it is done."""

from typing import Any, cast

import pytest
from confluent_kafka import Producer

from commands.replay import AT_A_TIME, Returns
from contracts import topics
from contracts.audit import AuditEntry
from contracts.codec import decode
from contracts.records import ConsumedRecord


class Broker:
    """Takes records in the order in which it is given them; `says` is the error that it answers with."""

    def __init__(self, says: str | None = None) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self._says = says

    def produce(self, topic: str, *, value: bytes, on_delivery: Any, **_: object) -> None:
        self.taken.append((topic, value))
        on_delivery(self._says, None)

    def flush(self, _: float) -> int:
        return 0


def test_who_replays_is_written_down_first_and_a_letter_by_its_name() -> None:
    broker = Broker()
    back = Returns(cast(Producer, broker))
    for offset in range(AT_A_TIME + 1):
        back.take("mail.attempts", ConsumedRecord(topics.DEADLETTER, 3, offset, b"key", b"octets", []))
    back.publish()
    once = [topics.AUDIT] * AT_A_TIME + ["mail.attempts"] * AT_A_TIME
    assert [topic for topic, _ in broker.taken] == [*once, topics.AUDIT, "mail.attempts"]
    act = decode(broker.taken[-2][1], AuditEntry)
    assert (act.action, act.detail, act.recipient) == ("replayed", f"3-{AT_A_TIME}", "mail.attempts")
    assert act.actor.startswith("command line (")


def test_what_cannot_be_written_down_is_not_done() -> None:
    broker = Broker(says="not authorized")
    back = Returns(cast(Producer, broker))
    back.take("mail.attempts", ConsumedRecord(topics.DEADLETTER, 0, 1, b"key", b"octets", []))
    with pytest.raises(SystemExit):
        back.publish()
    assert [topic for topic, _ in broker.taken] == [topics.AUDIT]
