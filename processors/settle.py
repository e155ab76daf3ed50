"""What an attempt means for a mail: pure, from a report of a sink to the event of its mail."""

import msgspec

from contracts.events import Action, Attempt, AttemptReport, Bounce, LateNews, MailEvent, Outcome, Summary
from contracts.statuses import EVENTS_ONLY, Reason, Status, is_terminal
from mail.bounces.classify import classify, reason_of

_RANK = {Outcome.ACCEPTED: 0, Outcome.SKIPPED: 1, Outcome.PERMANENT: 2}


def settle(report: AttemptReport) -> MailEvent:
    """The event of one attempt. With several targets the mail is settled when the last one is, and the worst wins."""
    if report.next_attempt_at is not None or _is_tried_on(report):
        return _deferred(report)
    settled = [target.settled for target in report.targets if target.settled is not None]
    worst = max(settled or report.attempts, key=lambda attempt: _RANK.get(attempt.outcome, 2))
    if report.action is Action.HANDLE:
        return _handled(report, worst)
    if worst.outcome is Outcome.ACCEPTED:
        status = Status.FORWARDED if report.action is Action.FORWARD else Status.DELIVERED
        server = worst.host or worst.ip
        return _event(report, status, detail=f"{server} answered {worst.code} {worst.text}".strip())
    if worst.reason in (
        Reason.UNROUTABLE,
        Reason.CONFIGURATION_ERROR,
        Reason.MESSAGE_TOO_LARGE,
        Reason.INTERNAL_ERROR,
    ):
        return _event(report, Status.FAILED, reason=worst.reason, detail=f"{worst.target}: {worst.text}")
    bounce = classify(worst)
    return _event(report, Status.DELIVERY_FAILED, reason=reason_of(bounce), detail=_answer(worst), bounce=bounce)


def settle_late(news: LateNews, known: list[MailEvent]) -> MailEvent | None:
    """The event of what came back about a mail, from what is `known` of the recipient, oldest first. It carries all that they do, so that
    it blanks nothing. None when nothing is known."""
    if not known:
        return None
    first = known[0]
    return MailEvent(
        mail_id=first.mail_id,
        recipient=first.recipient,
        direction=first.direction,
        status=news.status,
        terminal=is_terminal(news.status),
        late=news.status not in EVENTS_ONLY,
        occurred_at=news.occurred_at,
        round=news.round,
        attempt=max(1, *(event.attempt for event in known)),
        reason=news.reason,
        detail=news.detail,
        mail=first.mail,
        bounce=news.bounce,
        raw=first.raw,
    )


def settle_unusable(report: AttemptReport, why: str) -> MailEvent:
    """The event of a report that crashed the processors: held as a dead letter, and told."""
    detail = f"the report of an attempt is kept in mail.deadletter ({why}); replay it after the cause is mended"
    status = Status.DEFERRED if report.next_attempt_at is not None else Status.FAILED
    return _event(report, status, reason=Reason.INTERNAL_ERROR, detail=detail)


def _is_tried_on(report: AttemptReport) -> bool:
    """Whether another server, which does not say when, will try again."""
    return bool(report.mail.source) and any(target.settled is None for target in report.targets)


def _deferred(report: AttemptReport) -> MailEvent:
    waiting = next((one for one in reversed(report.attempts) if one.outcome is Outcome.TEMPORARY), report.attempts[-1])
    if not report.attempt:  # nobody was asked: it only waits
        untried = msgspec.structs.replace(report, attempts=[])
        return _event(untried, Status.DEFERRED, reason=Reason.DESTINATION_UNAVAILABLE, detail=waiting.text)
    bounce = None if report.action is Action.HANDLE else classify(waiting)
    return _event(
        report, Status.DEFERRED, reason=Reason.DESTINATION_UNAVAILABLE, detail=_answer(waiting), bounce=bounce
    )


def _handled(report: AttemptReport, worst: Attempt) -> MailEvent:
    if worst.outcome is Outcome.ACCEPTED:
        summary = msgspec.structs.replace(report.mail, reference=worst.reference or report.mail.reference)
        # The key that it came with: the request was there before.
        verb = "added to" if worst.reference == report.mail.reference else "became"
        detail = f"{verb} {worst.reference}" if worst.reference else f"taken by {worst.target}"
        return _event(report, Status.PROCESSED, detail=detail, mail=summary)
    if worst.outcome is Outcome.SKIPPED:
        return _event(report, Status.SKIPPED, reason=Reason.HANDLER_DECLINED, detail=worst.text)
    return _event(report, Status.FAILED, reason=worst.reason or Reason.HANDLER_ERROR, detail=worst.text)


def _answer(attempt: Attempt) -> str:
    if not attempt.code:
        return f"{attempt.target}: {attempt.text}"
    to = f" to {attempt.command}" if attempt.command else ""
    return f"{attempt.host or attempt.ip or attempt.target} answered {attempt.code} {attempt.text}{to}"


def _event(
    report: AttemptReport,
    status: Status,
    *,
    reason: Reason | None = None,
    detail: str = "",
    bounce: Bounce | None = None,
    mail: Summary | None = None,
) -> MailEvent:
    return MailEvent(
        mail_id=report.mail_id,
        recipient=report.recipient,
        direction=report.direction,
        status=status,
        terminal=is_terminal(status),
        occurred_at=report.occurred_at,
        round=report.round,
        attempt=report.attempt,
        reason=reason,
        detail=detail[:2000],
        mail=mail or report.mail,
        bounce=bounce,
        attempts=report.attempts,
        next_attempt_at=report.next_attempt_at,
        raw=report.raw,
    )
