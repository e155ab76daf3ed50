"""What a report says of mails that we sent: pure. It is believed as far as it names them by a bounce address, which only we can make."""

from datetime import datetime

from contracts.clock import rfc3339
from contracts.events import LateNews
from contracts.statuses import Status
from mail.bounce_address import BounceAddresses, BounceOf, recipient_digest
from mail.bounces.classify import classify_reply, reason_of
from mail.bounces.classify_finding import classify_finding
from mail.reports.report import Action, Finding, Report, ReportKind

_FAILS = frozenset({ReportKind.DSN, ReportKind.FREEFORM})
_ARRIVED = frozenset({Action.DELIVERED, Action.RELAYED, Action.EXPANDED})
# Feedback types (RFC 5965 section 7.3, RFC 6430).
_NO_COMPLAINT = frozenset({"not-spam", "auth-failure", "dkim", "virus", "other"})
_OPT_OUT = frozenset({"opt-out", "opt-out-list"})


def read_news(
    report: Report, named: BounceOf | None, bounces: BounceAddresses, now: datetime, report_id: str
) -> list[LateNews]:
    """What follows for the mail that the report names: by the bounce address that it came to (`named`), else by one that it gives back.
    [] where it names none, or says nothing that changes anything."""
    about = named or _find(report, bounces, now)
    if about is None:
        return []
    if report.kind is ReportKind.ARF:
        return [] if report.feedback_type in _NO_COMPLAINT else [_complaint(report, about, now, report_id)]
    if report.kind not in _FAILS:
        return []
    finding = _finding(report, about)
    if finding is None or finding.action in _ARRIVED:
        return []
    return [_bounced(report, finding, about, now, report_id)]


def describe_report(report: Report, news: list[LateNews], mail_id: str) -> str:
    """One sentence about the report, for its own row in the log."""
    what = f"{report.kind} about outbound mail {mail_id}" if mail_id else f"{report.kind} that names no mail of ours"
    return f"{what}: {news[0].status}" if news else f"{what}: nothing follows from it"


def _find(report: Report, bounces: BounceAddresses, now: datetime) -> BounceOf | None:
    for address in report.returned.bounce_addresses:
        if (found := bounces.read_verp(address, now)) is not None:
            return found
    return None


def _finding(report: Report, about: BounceOf) -> Finding | None:
    """What is said of the recipient that the bounce address names; where nobody of that name is spoken of (it was forwarded), of the first
    one whose mail failed."""
    for finding in report.findings:
        if about.recipient_digest in map(recipient_digest, (finding.recipient, finding.original_recipient)):
            return finding
    failed = [finding for finding in report.findings if finding.action is Action.FAILED]
    return next(iter([*failed, *report.findings]), None)


def _bounced(report: Report, finding: Finding, about: BounceOf, now: datetime, report_id: str) -> LateNews:
    delayed = finding.action is Action.DELAYED or (finding.action is Action.NONE and finding.reply.temporary)
    reply = finding.reply
    bounce = classify_finding(report.kind, finding) or classify_reply(reply)
    until = f", which is tried until {rfc3339(finding.retry_until)}" if delayed and finding.retry_until else ""
    who = report.reporter or reply.host or "a mail server"
    return LateNews(
        mail_id=about.mail_id,
        recipient_digest=about.recipient_digest,
        round=about.round,
        status=Status.DEFERRED if delayed else Status.DELIVERY_FAILED,
        occurred_at=now,
        report_id=report_id,
        bounce=bounce,
        reason=None if delayed else reason_of(bounce),
        detail=f"{who} reported a {'delay' if delayed else 'failure'}{until}: {reply.text or finding.status}"[:2000],
    )


def _complaint(report: Report, about: BounceOf, now: datetime, report_id: str) -> LateNews:
    who = report.reporter or "a feedback loop"
    leaves = report.feedback_type.lower() in _OPT_OUT  # asked for no more of it, and called nothing spam
    did = "unsubscribed" if leaves else "complained"
    return LateNews(
        mail_id=about.mail_id,
        recipient_digest=about.recipient_digest,
        round=about.round,
        status=Status.UNSUBSCRIBED if leaves else Status.COMPLAINED,
        occurred_at=now,
        report_id=report_id,
        detail=f"the recipient {did} ({report.feedback_type or 'abuse'}), as {who} reported",
    )
