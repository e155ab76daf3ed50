"""What follows from a report for the mail that it names."""

from datetime import UTC, datetime

import pytest

from mail.bounce_address import BounceAddresses
from mail.bounces.reply import Reply
from mail.reports.report import Action, Finding, Report, ReportKind, ReturnedMail
from processors.read_news import read_news

NOW = datetime(2026, 11, 27, tzinfo=UTC)
BOUNCES = BounceAddresses(b"key")
MAIL_ID = "01a206f7-6b43-7745-9bab-87fa221dd751"
ADDRESS = BOUNCES.verp(MAIL_ID, "anna@x.test", "ours.test")
REFUSED = Reply("550 5.1.1 no such user", 550, "5.1.1")
FULL = Reply("452 4.2.2 full", 452, "4.2.2", temporary=True)


def finding(recipient: str, action: Action = Action.FAILED, reply: Reply = REFUSED) -> Finding:
    return Finding(recipient, action=action, reply=reply)


@pytest.mark.parametrize(
    ("report", "wanted"),
    [
        (Report(ReportKind.DSN, (finding("anna@x.test"),)), [("delivery_failed", "invalid_recipient")]),
        (Report(ReportKind.DSN, (finding("b@y.test"), finding("Anna@x.test", reply=FULL))), [("delivery_failed", "mailbox_full")]),
        (Report(ReportKind.DSN, (finding("forwarded@y.test"),)), [("delivery_failed", "invalid_recipient")]),
        (Report(ReportKind.DSN, (finding("anna@x.test", Action.DELAYED, FULL),)), [("deferred", "mailbox_full")]),
        (Report(ReportKind.DSN, (finding("anna@x.test", Action.RELAYED),)), []),
        (Report(ReportKind.DSN, ()), []),
        (Report(ReportKind.AUTO_REPLY, (finding("anna@x.test"),)), []),
        (Report(ReportKind.MDN, ()), []),
        (Report(ReportKind.ARF, feedback_type="abuse"), [("complained", None)]),
        (Report(ReportKind.ARF, feedback_type="not-spam"), []),
        (Report(ReportKind.ARF, feedback_type="opt-out"), [("unsubscribed", None)]),
    ],
)  # fmt: skip
def test_what_a_report_does(report: Report, wanted: list[tuple[str, str | None]]) -> None:
    named = BOUNCES.read_verp(ADDRESS, datetime(2026, 11, 25, tzinfo=UTC))
    assert named is not None
    news = read_news(report, named, BOUNCES, NOW, "report")
    assert [(one.status, one.bounce and one.bounce.bounce_class) for one in news] == wanted
    assert all(one.mail_id == MAIL_ID and one.recipient_digest == named.recipient_digest for one in news)


@pytest.mark.parametrize(
    ("address", "found"), [(ADDRESS, 1), (ADDRESS.replace("@", "x@"), 0), ("b+x.y.z@ours.test", 0)]
)
def test_a_complaint_is_believed_by_the_bounce_address_that_it_gives_back(address: str, found: int) -> None:
    report = Report(
        ReportKind.ARF, feedback_type="abuse", returned=ReturnedMail(bounce_addresses=("x@y.test", address))
    )
    assert len(read_news(report, None, BOUNCES, datetime(2026, 11, 25, tzinfo=UTC), "report")) == found
