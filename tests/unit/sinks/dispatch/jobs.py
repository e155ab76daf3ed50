"""Jobs for the tests of sinks/dispatch."""

from datetime import timedelta

from contracts import clock
from contracts.events import Action, Dispatch, RawPointer, Summary, Target
from contracts.ids import new_mail_id
from contracts.records import ConsumedRecord
from contracts.statuses import Direction
from sinks.dispatch.job import Job


def command(to: str = "a@x.test", *, attempt: int = 1, parked: int = 0, mail_id: str = "") -> Dispatch:
    now = clock.now()
    return Dispatch(
        mail_id=mail_id or new_mail_id(),
        recipient=to,
        direction=Direction.OUTBOUND,
        action=Action.DELIVER,
        attempt=attempt,
        parked=parked,
        expires_at=now + timedelta(hours=1),
        raw=RawPointer(topic="mail.raw", partition=0, offset=0),
        mail=Summary(received_at=now),
        targets=[Target(address=to)],
    )


def job(
    lane: str = "x.test", *, topic: str = "mail.dispatch", partition: int = 0, offset: int = 0, **fields: object
) -> Job:
    one = command(f"a@{lane}", **fields)  # type: ignore[arg-type]
    source = ConsumedRecord(topic, partition, offset, lane.encode(), b"", [])
    return Job(one, source, lane, [((topic, partition), offset)])
