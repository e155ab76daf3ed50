"""What a report says of one recipient, as a bounce."""

from contracts.events import Bounce
from contracts.statuses import BounceClass
from mail.bounces.classify import classify_reply, to_bounce
from mail.reports.report import Action, Finding, ReportKind

_ANSWERS = {ReportKind.AUTO_REPLY: BounceClass.AUTO_REPLY, ReportKind.CHALLENGE: BounceClass.CHALLENGE}
_REFUSALS = frozenset({Action.FAILED, Action.DELAYED})


def classify_finding(kind: ReportKind, finding: Finding) -> Bounce | None:
    """Its type and class; None where nobody refused: a complaint, a mail that was shown, delivered or passed on."""
    if kind in _ANSWERS:
        return to_bounce(finding.reply, _ANSWERS[kind], f"report.{kind.replace('_', '-')}")
    if kind not in (ReportKind.DSN, ReportKind.FREEFORM) or finding.action not in _REFUSALS:
        return None
    return classify_reply(finding.reply)
