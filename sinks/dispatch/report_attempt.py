"""After an attempt: the report, and the command of the next attempt where something is left to try."""

import random
from datetime import timedelta

import msgspec

from contracts import clock, topics
from contracts.codec import HEADERS, encode_attempt_report, encode_dispatch
from contracts.cut_text import cut_text
from contracts.events import Attempt, AttemptReport, Dispatch, Outcome, Target
from contracts.records import Record
from contracts.setting_types import format_duration
from contracts.statuses import Reason

SOURCE = "mailscope/sinks"
TEXTS = 150_000  # octets in JSON of all answers of remote servers that one report tells; it tells those of settled targets twice
LEAST = 300  # of them that each target has


def report_attempt(
    command: Dispatch,
    key: str,
    attempts: list[Attempt],
    delays: list[timedelta],
    names: list[str],
    spread: float | None = None,
    delay_notice: timedelta = timedelta.max,
) -> list[Record]:
    """The report of one attempt and, where a target is left, the command of the next one, under the same key. Where the next attempt
    would come after the mail's time limit, the last answer stands and the target has expired. `spread` (0 to 1, random) lets a
    retry come up to a tenth of its delay later, so that what failed together does not come back together. A mail that is older than
    `delay_notice` is late, which its submitter hears of once."""
    now = clock.now()
    share = max(LEAST, TEXTS // max(1, len(command.targets)))
    attempts = [msgspec.structs.replace(one, text=cut_text(one.text, share)) for one in attempts]
    step = min(command.attempt - (command.again.attempts if command.again else 0), len(delays)) - 1
    due = now + delays[step] * (1 + 0.1 * (random.random() if spread is None else spread))
    retry = any(attempt.outcome is Outcome.TEMPORARY for attempt in attempts) and due <= command.expires_at
    final = [attempt if retry else _expired(attempt, command) for attempt in attempts]
    if retry:
        final = [
            msgspec.structs.replace(attempt, next_attempt_at=due) if attempt.outcome is Outcome.TEMPORARY else attempt
            for attempt in final
        ]
    results = {attempt.target: attempt for attempt in final if attempt.outcome is not Outcome.TEMPORARY}
    targets = [
        Target(address=target.address, settled=target.settled or results.get(target.address))
        for target in command.targets
    ]
    notices = command.notices
    late = retry and notices is not None and notices.delay and now - command.mail.received_at >= delay_notice
    report = AttemptReport(
        mail_id=command.mail_id,
        recipient=command.recipient,
        direction=command.direction,
        action=command.action,
        round=command.round,
        attempt=command.attempt,
        occurred_at=now,
        mail=command.mail,
        raw=command.raw,
        attempts=final,
        targets=targets,
        notify=command.notify,
        notices=notices,
        is_late=late,
        next_attempt_at=due if retry else None,
    )
    records = [Record(topics.ATTEMPTS, command.mail_id, encode_attempt_report(report, SOURCE), HEADERS)]
    if retry:
        if notices is not None and late:
            notices = msgspec.structs.replace(notices, delay=False)
        again = msgspec.structs.replace(
            command, attempt=command.attempt + 1, parked=0, not_before=due, targets=targets, notices=notices
        )
        records.append(Record(topics.retry_topic(names[step]), key, encode_dispatch(again, SOURCE), HEADERS))
    return records


def give_up(command: Dispatch, why: str) -> list[Record]:
    """The report of a command that crashed a sink: what is not settled has failed on our side."""
    text = f"the command is kept in mail.deadletter ({why}); replay it after the cause is mended"
    attempts = [
        Attempt(
            number=command.attempt,
            target=target.address,
            outcome=Outcome.PERMANENT,
            started_at=clock.now(),
            reason=Reason.INTERNAL_ERROR,
            text=text,
        )
        for target in command.targets
        if target.settled is None
    ]
    return report_attempt(command, "", attempts, [timedelta(0)], [""])


def _expired(attempt: Attempt, command: Dispatch) -> Attempt:
    if attempt.outcome is not Outcome.TEMPORARY:
        return attempt
    began = command.again.at if command.again is not None else command.mail.received_at
    age = format_duration(timedelta(seconds=round((command.expires_at - began).total_seconds())))
    text = attempt.text or "no answer"
    return msgspec.structs.replace(
        attempt, outcome=Outcome.PERMANENT, reason=Reason.EXPIRED, text=f"{text} (not accepted within {age})"
    )
