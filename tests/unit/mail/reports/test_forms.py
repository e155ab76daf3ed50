"""Bounces in words, in the forms of programs and providers, with names changed: whom they name, and why."""

import pytest

from mail.bounces.classify_finding import classify_finding
from mail.reports.read_report import read_report

# form: (From, Subject, text, classes of a@x.test, b@x.test)
FORMS: dict[str, tuple[str, str, str, list[str]]] = {
    "mdaemon": (
        "MDaemon@mx.x.test",
        "Permanent Delivery Failure",
        "The attached message had PERMANENT fatal delivery errors!\n"
        "\n"
        "The following addresses did NOT receive a copy of your message:\n"
        "\n"
        "> a@x.test\n"
        "\n"
        "--- Session Transcript ---\n"
        "--> RCPT To:<a@x.test>\n"
        "<-- 550 5.1.1 <a@x.test>... User unknown\n"
        "--> QUIT\n"
        "--- End Transcript ---\n"
        ": Message contains [1] file attachments",
        ["invalid_recipient"],
    ),
    "interscan": (
        "interscan@mx.x.test",
        "Mail could not be delivered",
        "Unable to deliver message to <a@x.test> and other recipients in the same destination as <a@x.test>.\n"
        "Reason: 550 5.1.1 user unknown",
        ["invalid_recipient"],
    ),
    "mailmarshal": (
        "postmaster@mx.x.test",
        'Undeliverable Mail: "Hi"',
        "Your message:\n"
        "   From:    desk@ours.test\n"
        "   Subject: Hi\n"
        "\n"
        "Could not be delivered because of\n"
        "\n"
        "550 5.1.1 User unknown\n"
        "\n"
        "The following recipients were affected: \n"
        "    a@x.test\n"
        "\n"
        "Additional Information\n"
        "======================\n"
        "Original Sender:    <desk@ours.test>",
        ["invalid_recipient"],
    ),
    "biglobe": (
        "postmaster@biglobe.test",
        "Returned mail: mailbox exceeded the local limit",
        "   ----- The following addresses had delivery problems -----\n"
        "a@x.test\n"
        "\n"
        "   ----- Non-delivered information -----\n"
        "The number of messages in recipient's mailbox exceeded the local limit.\n"
        "\n"
        "   ----- Unsent message follows -----\n"
        "Received: from a\n"
        "To: a@x.test",
        ["mailbox_full"],
    ),
    "hmailserver": (
        "mailer-daemon@mx.x.test",
        "Message undeliverable: Hi",
        "Your message did not reach some or all of the intended recipients.\n"
        "\n"
        "   Sent: Thu, 1 Jan 2026 10:00:00 +0100\n"
        "   Subject: Hi\n"
        "\n"
        "The following recipient(s) could not be reached:\n"
        "\n"
        "a@x.test\n"
        "   Error Type: SMTP\n"
        "   Remote server (192.0.2.1) issued an error.\n"
        "   hMailServer sent: RCPT TO:<a@x.test>\n"
        "   Remote server replied: 550 5.1.1 unknown user\n"
        "\n"
        "hMailServer",
        ["invalid_recipient"],
    ),
    "notes": (
        "Postmaster@x.test",
        "DELIVERY FAILURE: User a (a@x.test) not listed in Domino Directory",
        "Your message\n"
        "\n"
        "  Subject: Hi\n"
        "\n"
        "was not delivered to:\n"
        "\n"
        "  a@x.test\n"
        "\n"
        "because:\n"
        "\n"
        "  User a (a@x.test) not listed in Domino Directory\n",
        ["invalid_recipient"],
    ),
    "interscan dialogue": (
        "postmaster@x.test",
        "Delivery Failure",
        "Sent >>> RCPT TO:<a@x.test>\n"
        "Received <<< 550 5.1.1 <a@x.test>... user unknown\n"
        "\n"
        "Unable to deliver message to <a@x.test>.",
        ["invalid_recipient"],
    ),
    "communigate": (
        "MAILER-DAEMON@x.test",
        "Undeliverable mail: Hi",
        "Failed to deliver to 'a@x.test'\n"
        "SMTP module(domain x.test) reports:\n"
        " host mx.x.test says:\n"
        " 550 5.1.1 user unknown\n",
        ["invalid_recipient"],
    ),
    "exchange 5.5": (
        "postmaster@x.test",
        "Undeliverable: Hi",
        "Your message\n"
        "\n"
        "  To:      a@x.test\n"
        "  Subject: Hi\n"
        "  Sent:    Thu\n"
        "\n"
        "did not reach the following recipient(s):\n"
        "\n"
        "a@x.test on Thu, 1 Jan 2026 10:00:00\n"
        "    Unable to deliver the message due to a communications failure\n"
        "\tMSEXCH:IMS:A:B:C 0 (000C05A6) Host unknown\n",
        ["invalid_domain"],
    ),
    "smartermail": (
        "system@x.test",
        "Delivery Failure",
        "Could not deliver message to the following recipient(s):\n"
        "\n"
        "Failed Recipient: a@x.test\n"
        "Reason: Remote host said: 550 5.1.1 User unknown\n"
        "\n"
        "   -- The header and top 20 lines of the message follows --\n"
        "\n"
        "Received: from a",
        ["invalid_recipient"],
    ),
    "netease": (
        "postmaster@163.test",
        "系统退信",
        "抱歉，您的邮件被退回来了……\n"
        "收信人邮件地址： a@x.test\n"
        "退信原因：\n"
        "SMTP error, RCPT TO: 550 User not found: a@x.test\n",
        ["invalid_recipient"],
    ),
    "tencent": (
        "postmaster@qq.test",
        "系统退信/Systems bounce",
        "您发送的邮件被退回\n"
        "无法发送到 a@x.test\n"
        "退信原因 收件人邮件地址（a@x.test）不存在，邮件无法送达。\n"
        "host mx.x.test[192.0.2.1] said: 550 Mailbox not found\n",
        ["invalid_recipient"],
    ),
    "html": (
        "MAILER-DAEMON@x.test",
        "Undeliverable",
        "<html><head><style>x</style></head><body><p>Delivery has failed to these recipients:</p>"
        '<div><a href="mailto:a@x.test">a@x.test</a><br>The email address you entered couldn&#39;t be found.</div>'
        "<p>550 5.1.1 &lt;a@x.test&gt; user unknown</p></body></html>",
        ["invalid_recipient"],
    ),
    "novell": (
        "Mailer-Daemon@x.test",
        "Message status - undeliverable",
        "The message that you sent was undeliverable to the following:\n\ta@x.test (user not found)\n",
        ["invalid_recipient"],
    ),
    "yahoo": (
        "MAILER-DAEMON@yahoo.test",
        "Failure Notice",
        "Sorry, we were unable to deliver your message to the following address.\n"
        "\n"
        "<a@x.test>:\n"
        "554: delivery error: dd This user doesn't have a x.test account (a@x.test) [0] - mta1\n"
        "\n"
        "--- Below this line is a copy of the message.\n"
        "\n"
        "Received: from",
        ["invalid_recipient"],
    ),
    "gmx": (
        "MAILER-DAEMON@gmx.test",
        "Mail delivery failed: returning message to sender",
        "Diese Nachricht wurde automatisch erzeugt.\n"
        "\n"
        "Die folgende Adresse ist fehlgeschlagen:\n"
        "\n"
        "a@x.test:\n"
        "SMTP error from remote server for RCPT TO command, host: mx.x.test (192.0.2.1) reason: 552 mailbox full\n"
        "\n"
        "--- The header of the original message is following. ---\n"
        "\n"
        "Received: from",
        ["mailbox_full"],
    ),
    "sendmail": (
        "MAILER-DAEMON@x.test",
        "Returned mail: User unknown",
        "   ----- Transcript of session follows -----\n"
        "... while talking to mx.x.test.:\n"
        ">>> RCPT To:<a@x.test>\n"
        "<<< 550 5.1.1 <a@x.test>... User unknown\n"
        "550 a@x.test... User unknown\n"
        ">>> RCPT To:<b@x.test>\n"
        "<<< 552 5.2.2 <b@x.test>... Mailbox full\n"
        "552 b@x.test... Mailbox full\n",
        ["invalid_recipient", "mailbox_full"],
    ),
    "exim delay": (
        "Mail Delivery System <Mailer-Daemon@x.test>",
        "Warning: message 1abc delayed 24 hours",
        "This message was created automatically by mail delivery software.\n"
        "A message that you sent has not yet been delivered to one or more of its\n"
        "recipients after more than 24 hours on the queue on x.test.\n"
        "\n"
        "The message identifier is: 1abc\n"
        "\n"
        "The address to which the message has not yet been delivered is:\n"
        "\n"
        "  a@x.test\n"
        "    host mx.x.test [192.0.2.1]\n"
        "    Delay reason: Connection timed out\n"
        "\n"
        "No action is required on your part. Delivery attempts will continue for\n"
        "some time",
        ["connection_failed"],
    ),
    "gmail": (
        "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
        "Delivery Status Notification (Failure)",
        "** Address not found **\n"
        "\n"
        "Your message wasn't delivered to a@x.test because the address couldn't be found, or is unable to receive mail.\n"
        "\n"
        "Learn more here: https://support.google.com/mail/?p=NoSuchUser\n"
        "\n"
        "The response was:\n"
        "\n"
        "The email account that you tried to reach does not exist. Please try double-checking the recipient's email address "
        "for typos or unnecessary spaces.",
        ["invalid_recipient"],
    ),
    "barracuda": (
        "postmaster@x.test",
        "**Message you sent blocked by our bulk email filter**",
        "Your message to: a@x.test\n"
        "was blocked by our Spam Firewall. The email you sent with the following subject has NOT BEEN DELIVERED:\n"
        "\n"
        "Subject: Hi\n",
        ["spam_content"],
    ),
    "amavis": (
        "postmaster@x.test",
        "Considered UNSOLICITED BULK EMAIL, apparently from you",
        "A message from <desk@ours.test> to:\n"
        "-> a@x.test\n"
        "\n"
        "was considered unsolicited bulk e-mail (UBE).\n"
        "\n"
        "The message WAS NOT relayed to:\n"
        "<a@x.test>:\n"
        "   554 5.7.0 Reject, id=1 - spam\n",
        ["spam_content"],
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_names_its_recipients_and_its_cause(form: str) -> None:
    author, subject, text, classes = FORMS[form]
    kind = "text/html" if text.startswith("<html>") else "text/plain"
    head = f"From: {author}\nTo: desk@ours.test\nSubject: {subject}\nContent-Type: {kind}; charset=utf-8\n\n"
    report = read_report((head + text).replace("\n", "\r\n").encode())
    found = [
        (one.recipient, bounce.bounce_class)
        for one in report.findings
        if (bounce := classify_finding(report.kind, one)) is not None
    ]
    assert found == list(zip(("a@x.test", "b@x.test"), classes, strict=False))
