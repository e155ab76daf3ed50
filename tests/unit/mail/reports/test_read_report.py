"""Reports as servers write them, with names changed: what is read from each."""

from datetime import UTC, datetime

import pytest

from mail.reports.read_report import read_report
from mail.reports.report import Action, ReportKind

VERP = "b+abcdefghijklmnopqrstuvwxyz.abcdef.abcdefghij@ours.test"


def crlf(text: str) -> bytes:
    return text.lstrip("\n").replace("\n", "\r\n").encode()


def dsn(fields: str, words: str = "It failed.", returned: str = "", kind: str = "delivery-status") -> bytes:
    return crlf(f"""
From: Mail Delivery System <mailer-daemon@mx.x.test>
To: {VERP}
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary="cut"

--cut
Content-Type: text/plain; charset=utf-8

{words}

--cut
Content-Type: message/{kind}

{fields}

--cut
Content-Type: text/rfc822-headers

{returned}

--cut--
""")


def freeform(words: str, headers: str = "From: MAILER-DAEMON@mx.x.test\nSubject: failure notice") -> bytes:
    return crlf(f"{headers}\nTo: {VERP}\n\n{words}\n")


def test_a_dsn_tells_each_recipient_with_reply_host_and_command() -> None:
    report = read_report(
        dsn(
            """Reporting-MTA: dns; mx.x.test
Original-Envelope-Id: env-1

Original-Recipient: rfc822; anna@first.test
Final-Recipient: rfc822; anna@x.test
Action: failed
Status: 5.0.0
Remote-MTA: dns; in.x.test
Diagnostic-Code: smtp; 550 5.1.1 <anna@x.test>:
 User unknown

Final-Recipient: RFC822; <bert@x.test>
Action: delayed
Status: 4.4.1
Will-Retry-Until: Tue, 1 Dec 2026 10:00:00 +0000

Final-Recipient: rfc822; list@x.test
Action: expanded (to 3)
Status: 2.0.0

Final-Recipient: rfc822; carl@x.test
Action: relayed
Status: 2.1.9""",
            "<anna@x.test>: host in.x.test[192.0.2.1] said: 550 5.1.1 User unknown\n    (in reply to RCPT TO command)\n\n"
            "<bert@x.test>: connect to in.x.test[192.0.2.1]:25: Connection timed out",
            f"Return-Path: <{VERP}>\nMessage-ID: <1@ours.test>\nFrom: Desk <desk@ours.test>\nTo: anna@first.test, bert@x.test",
        )
    )
    anna, bert, group, carl = report.findings
    assert (report.kind, report.reporter, report.envelope_id) == (ReportKind.DSN, "mx.x.test", "env-1")
    assert (anna.recipient, anna.original_recipient, anna.action) == ("anna@x.test", "anna@first.test", Action.FAILED)
    assert (anna.reply.code, anna.reply.enhanced_code, anna.reply.command, anna.reply.host) == (
        550,
        "5.1.1",
        "RCPT",
        "in.x.test",
    )
    assert anna.reply.text == "550 5.1.1 <anna@x.test>: User unknown" and not anna.reply.temporary
    assert (bert.recipient, bert.action, bert.reply.temporary) == ("bert@x.test", Action.DELAYED, True)
    assert bert.retry_until == datetime(2026, 12, 1, 10, tzinfo=UTC)
    assert "Connection timed out" in bert.reply.text, "what has no Diagnostic-Code is told to people"
    assert (group.action, carl.action) == (Action.EXPANDED, Action.RELAYED)
    assert (report.returned.message_id, report.returned.from_address) == ("1@ours.test", "desk@ours.test")
    assert report.returned.to_addresses == ("anna@first.test", "bert@x.test")
    assert report.returned.envelope_from == VERP and VERP in report.returned.bounce_addresses
    assert report.complete


def test_addresses_in_utf_8_are_read_in_both_spellings() -> None:
    escaped = dsn("Final-Recipient: utf-8; j\\x{F6}rg@x.test\nAction: failed\nStatus: 5.1.1", kind="delivery-status")
    plain = dsn("Final-Recipient: utf-8; jörg@x.test\nAction: failed\nStatus: 5.1.1", kind="global-delivery-status")
    assert [read_report(raw).findings[0].recipient for raw in (escaped, plain)] == ["jörg@x.test"] * 2


def test_fields_of_one_recipient_that_are_torn_apart_stay_together() -> None:
    report = read_report(
        dsn(
            "Reporting-MTA: dns; m\nFinal-Recipient: rfc822; a@x.test\n\nAction: failed\nStatus: 5.2.2\nFinal-Recipient: "
            "rfc822; b@x.test\nAction: failed\nStatus: 5.1.1"
        )
    )
    assert [(one.recipient, one.status) for one in report.findings] == [("a@x.test", "5.2.2"), ("b@x.test", "5.1.1")]


def test_a_complaint_names_who_complained_about_which_mail() -> None:
    report = read_report(
        crlf(f"""
From: fbl@provider.test
Content-Type: multipart/report; report-type=feedback-report; boundary="cut"

--cut
Content-Type: text/plain

This is an email abuse report.

--cut
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Some/1.0
Version: 1
Original-Mail-From: <{VERP}>
Original-Rcpt-To: <anna@provider.test>
Original-Rcpt-To: <bert@provider.test>
Source-IP: 192.0.2.7
Reporting-MTA: dns; mx.provider.test

--cut
Content-Type: message/rfc822

From: news@ours.test
To: anna@provider.test
Message-ID: <2@ours.test>
Subject: Our news

text

--cut--
""")
    )
    assert (report.kind, report.feedback_type, report.source_ip) == (ReportKind.ARF, "abuse", "192.0.2.7")
    assert [one.recipient for one in report.findings] == ["anna@provider.test", "bert@provider.test"]
    assert (report.returned.message_id, report.returned.envelope_from) == ("2@ours.test", VERP)
    assert report.returned.bounce_addresses == (VERP,)


def test_a_complaint_without_recipient_is_of_those_whom_the_mail_shows() -> None:
    raw = crlf("""
Content-Type: multipart/report; report-type=feedback-report; boundary="cut"

--cut
Content-Type: message/feedback-report

Feedback-Type: abuse

--cut
Content-Type: text/rfc822-headers

To: anna@provider.test

--cut--
""")
    assert [one.recipient for one in read_report(raw).findings] == ["anna@provider.test"]


WORDS = [
    # qmail
    (
        "Hi. This is the qmail-send program at mx.x.test.\nI'm afraid I wasn't able to deliver your message to the following addresses.\n"
        "This is a permanent error; I've given up. Sorry it didn't work out.\n\n<anna@x.test>:\n192.0.2.1 does not like recipient.\n"
        "Remote host said: 550 5.1.1 no such user\nGiving up on 192.0.2.1.\n\n--- Below this line is a copy of the message.\n\n"
        f"Return-Path: <{VERP}>\nMessage-ID: <1@ours.test>\nFrom: desk@ours.test\n\nHello",
        [("anna@x.test", 550, "5.1.1", "RCPT", "")],
    ),
    # Exim
    (
        "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered "
        "to one or more of its\n"
        "recipients. This is a permanent error. The following address(es) failed:\n\n  anna@x.test\n    SMTP error from "
        "remote mail server after end of data:\n"
        "    host in.x.test [192.0.2.1]: 552 5.2.2 over quota\n  bert@y.test\n    host in.y.test [192.0.2.2]\n"
        "    SMTP error from remote mail server after RCPT TO:<bert@y.test>:\n    550 no such person\n\n"
        "------ This is a copy of the message, including all the headers. ------\n\nReturn-path: "
        "<desk@ours.test>\nMessage-ID: <1@ours.test>\n",
        [("anna@x.test", 552, "5.2.2", "end-of-data", "in.x.test"), ("bert@y.test", 550, "", "RCPT", "in.y.test")],
    ),
    # sendmail before it wrote DSNs
    (
        "   ----- Transcript of session follows -----\nWhile talking to in.x.test:\n>>> RCPT To:<anna@x.test>\n<<< 550 5.1.1 "
        "<anna@x.test>... User unknown\n"
        "550 <anna@x.test>... User unknown\n\n   ----- Unsent message follows -----\nReceived: from a by b\nMessage-ID: <1@ours.test>\n",
        [("anna@x.test", 550, "5.1.1", "RCPT", "in.x.test")],
    ),
    # an older Exchange
    (
        "Your message\n\n  To:      anna@x.test\n  Subject: Hello\n\ndid not reach the following "
        "recipient(s):\n\nanna@x.test on Mon, 2 Nov 2026 10:00:00 +0100\n"
        "    The recipient name is not recognized",
        [("anna@x.test", 0, "", "", "")],
    ),
    # a form that only flufl.bounce knows
    (
        "The email below could not be delivered to the following user: somebody (<anna@x.test>)\nUser unknown, sorry\nOld message:\nx",
        [("anna@x.test", 0, "", "", "")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), WORDS, ids=["qmail", "exim", "sendmail", "exchange", "flufl"])
def test_a_bounce_in_words_tells_each_recipient(words: str, expected: list[tuple[str, int, str, str, str]]) -> None:
    report = read_report(freeform(words))
    found = [
        (one.recipient, one.reply.code, one.reply.enhanced_code, one.reply.command, one.reply.host)
        for one in report.findings
    ]
    assert (report.kind, found) == (ReportKind.FREEFORM, expected)
    assert all(
        "created automatically" not in one.reply.text and "given up" not in one.reply.text for one in report.findings
    )
    if "Message-ID" in words:
        assert report.returned.message_id == "1@ours.test"


def test_a_warning_in_words_is_a_delay() -> None:
    report = read_report(
        freeform(
            "Warning: message still undelivered after 4 hours\nWill keep trying until message is 5 days "
            "old\n\n<anna@x.test>: 451 4.4.1 connection timed out"
        )
    )
    assert [(one.action, one.reply.temporary) for one in report.findings] == [(Action.DELAYED, True)]


OTHERS = [
    ("From: anna@x.test\nSubject: Automatic reply: Hello\nAuto-Submitted: auto-replied", "I am away until "
    "Monday.", ReportKind.AUTO_REPLY),
    ("From: anna@x.test\nSubject: =?utf-8?q?Abwesenheitsnotiz?=", "Ich bin nicht da.", ReportKind.AUTO_REPLY),
    ("From: anna@x.test\nSubject: Re: Hello\nX-Autoreply: yes", "Thanks, your ticket failed to close, error 7.", ReportKind.AUTO_REPLY),
    ("From: anna@x.test\nSubject: Re: Hello\nAuto-Submitted: auto-replied", "Please verify your email address before "
    "delivery of it.", ReportKind.CHALLENGE),
    ("From: anna@x.test\nSubject: Re: Hello", "Thanks, that was an error of mine.", ReportKind.NONE),
    ("From: anna@x.test\nSubject: Rejected proposal", "See you.", ReportKind.NONE),
    ("From: MAILER-DAEMON@x.test\nSubject: Undeliverable\nAuto-Submitted: auto-replied", "550 5.1.1 no such user "
    "anna@x.test", ReportKind.FREEFORM),
]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "words", "kind"), OTHERS, ids=[f"{kind}-{words[:20]}" for _, words, kind in OTHERS]
)
def test_what_is_no_bounce_is_told_apart(headers: str, words: str, kind: ReportKind) -> None:
    assert read_report(freeform(words, headers)).kind is kind


def test_a_disposition_notification_says_what_was_done_to_which_mail() -> None:
    raw = crlf("""
From: anna@x.test
Content-Type: multipart/report; report-type=disposition-notification; boundary="cut"

--cut
Content-Type: message/disposition-notification

Final-Recipient: rfc822; anna@x.test
Original-Message-ID: <1@ours.test>
Disposition: manual-action/MDN-sent-manually; displayed

--cut--
""")
    report = read_report(raw)
    assert (report.kind, report.disposition, report.returned.message_id) == (ReportKind.MDN, "displayed", "1@ours.test")
    assert [one.recipient for one in report.findings] == ["anna@x.test"]


def test_a_bounce_that_was_passed_on_with_words_around_it_is_read() -> None:
    inner = freeform("<anna@x.test>:\n550 5.1.1 no such user").decode().replace("\r\n", "\n")
    report = read_report(freeform(f"Your message could not be delivered.\n\n--------\nReturn-Path: <>\n{inner}"))
    assert [(one.recipient, one.reply.enhanced_code) for one in report.findings] == [("anna@x.test", "5.1.1")]


def ses(notification: str) -> bytes:
    """As SNS puts it into a mail: JSON within JSON, lines folded anywhere, words of its own below."""
    quoted = notification.replace('"', '\\"')
    document = f'{{"Type" : "Notification", "Message" : "{quoted[:90]}\n {quoted[90:]}", "Signature" : "x"}}'
    return freeform(
        f"{document}\n\n--\nIf you wish to stop", "From: no-reply@sns.x.test\nSubject: AWS Notification Message"
    )


def test_what_amazon_ses_tells_by_mail_is_read() -> None:
    said = '"status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"'
    bounced = f'{{"emailAddress":"anna@x.test","action":"failed",{said}}}'
    mail = '"mail":{"source":"desk@ours.test"}'
    bounce = read_report(ses(f'{{"notificationType":"Bounce","bounce":{{"bouncedRecipients":[{bounced}]}},{mail}}}'))
    (finding,) = bounce.findings
    assert (bounce.kind, finding.recipient, finding.reply.code) == (ReportKind.FREEFORM, "anna@x.test", 550)
    assert bounce.returned.envelope_from == "desk@ours.test"
    complained = '"complaint":{"complainedRecipients":[{"emailAddress":"anna@x.test"}]}'
    complaint = read_report(ses(f'{{"notificationType":"Complaint",{complained},{mail}}}'))
    assert (complaint.kind, complaint.findings[0].recipient) == (ReportKind.ARF, "anna@x.test")
    delivered = read_report(
        ses(f'{{"notificationType":"Delivery","delivery":{{"recipients":["anna@x.test"]}},{mail}}}')
    )
    assert delivered.findings[0].action is Action.DELIVERED


def test_only_what_the_other_server_said_is_the_reply() -> None:
    words = (
        "Delivery to the following recipient failed permanently:\n\n     anna@x.test\n\nTechnical details of permanent failure:\n"
        "Your message was rejected by the recipient domain. We recommend contacting the other provider. "
        "The error that the other server returned was: 550 5.2.2 over quota"
    )
    assert read_report(freeform(words)).findings[0].reply.text == "550 5.2.2 over quota"


def test_the_returned_header_may_be_an_attached_text() -> None:
    raw = crlf("""
From: MAILER-DAEMON@mx.x.test
Subject: Undeliverable
Content-Type: multipart/mixed; boundary="cut"

--cut

<anna@x.test>: 550 no such user

--cut
Content-Type: text/plain; name="header.txt"
Content-Disposition: attachment

Received: from spam.blocked.test
Message-ID: <1@ours.test>

--cut--
""")
    report = read_report(raw)
    assert report.returned.message_id == "1@ours.test" and "Received" not in report.findings[0].reply.text


def test_complaints_of_providers_with_forms_of_their_own_are_complaints() -> None:
    microsoft = crlf("""
From: staff@provider.test
Subject: complaint about message from 192.0.2.1
Content-Type: multipart/mixed; boundary="cut"

--cut
Content-Type: message/rfc822

X-HmXmrOriginalRecipient: anna@provider.test
Message-ID: <1@ours.test>

text

--cut--
""")
    apple = freeform("Apple Mail sent this email to unsubscribe.", "From: anna@x.test\nX-Apple-Unsubscribe: true")
    for raw, kind, recipient in ((microsoft, "abuse", "anna@provider.test"), (apple, "opt-out", "anna@x.test")):
        report = read_report(raw)
        found = (report.kind, report.feedback_type, report.findings[0].recipient)
        assert found == (ReportKind.ARF, kind, recipient)
