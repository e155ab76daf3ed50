"""Parking a command: it comes back through a retry topic, without having been tried. Pure."""

import random
from datetime import datetime, timedelta

import msgspec

from contracts import topics
from contracts.codec import HEADERS, encode_attempt_report, encode_dispatch
from contracts.events import Attempt, AttemptReport, Dispatch, Outcome
from contracts.records import Record
from sinks.dispatch.report_attempt import SOURCE

LONGEST_REST = timedelta(minutes=10)


def rest_after(failures: int, delays: list[timedelta]) -> float:
    """How long, in seconds, a destination that did not answer so many times in a row is left alone: a little less than the delay of
    the retry, so that the command that failed is the first to try again."""
    delay = delays[min(max(failures, 1), len(delays)) - 1]
    return 0.9 * min(delay, LONGEST_REST).total_seconds()


def park(
    command: Dispatch,
    key: str,
    seconds: float,
    why: str,
    now: datetime,
    delays: list[timedelta],
    names: list[str],
    spread: float | None = None,
) -> list[Record]:
    """The records that park a command for about `seconds`: the command itself in the retry topic whose delay comes nearest from below, and,
    the first time, a report that says why it waits. `spread` (0 to 1) sets commands that were parked together apart."""
    tier = max((n for n, delay in enumerate(delays) if delay.total_seconds() <= seconds), default=0)
    wait = min(seconds, delays[tier].total_seconds())
    due = now + timedelta(seconds=wait * (1 + 0.1 * (random.random() if spread is None else spread)))
    again = msgspec.structs.replace(command, not_before=due, parked=command.parked + 1)
    records = [Record(topics.retry_topic(names[tier]), key, encode_dispatch(again, SOURCE), HEADERS)]
    if command.parked == 0 and command.attempt == 1:
        records.append(
            Record(
                topics.ATTEMPTS, command.mail_id, encode_attempt_report(_waits(command, why, now, due), SOURCE), HEADERS
            )
        )
    return records


def _waits(command: Dispatch, why: str, now: datetime, due: datetime) -> AttemptReport:
    pending = [target.address for target in command.targets if target.settled is None]
    return AttemptReport(
        mail_id=command.mail_id,
        recipient=command.recipient,
        direction=command.direction,
        action=command.action,
        round=command.round,
        attempt=0,
        occurred_at=now,
        mail=command.mail,
        raw=command.raw,
        attempts=[
            Attempt(
                number=0,
                target=address,
                outcome=Outcome.TEMPORARY,
                started_at=now,
                command="wait",
                text=f"not tried yet: {why}",
                next_attempt_at=due,
            )
            for address in pending
        ],
        targets=command.targets,
        notify=command.notify,
        next_attempt_at=due,
    )
