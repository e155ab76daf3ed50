"""Mail that applications submit over SMTP: the same way as over HTTP, for who has logged in."""

import base64
import contextlib
import email
import os
import signal
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage

import dkim
import pytest

from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for

PASSWORD = "correct horse"


@contextlib.contextmanager
def tls_connection(pipeline: Pipeline, source: str = "127.0.0.1") -> Iterator[smtplib.SMTP]:
    connection = smtplib.SMTP("127.0.0.1", pipeline.base + 87, "app.ours.test", 30, (source, 0))
    try:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # ours is self-signed
        connection.starttls(context=context)
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def submitting(
    pipeline: Pipeline, user: str = "app", password: str = PASSWORD, source: str = "127.0.0.1"
) -> Iterator[smtplib.SMTP]:
    with tls_connection(pipeline, source) as connection:
        connection.login(user, password)
        yield connection


def message(to: str, **headers: str) -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = headers.pop("From", "Desk <desk@ours.test>"), to, "submitted"
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content("hi\n")
    return made.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def submit(connection: smtplib.SMTP, raw: bytes, *to: str, sender: str = "desk@ours.test") -> tuple[int, str]:
    code, text = connection.mail(sender)
    for one in to:
        if code < 400:
            code, text = connection.rcpt(one)
    if code < 400:
        code, text = connection.data(raw)
    return code, text.decode()


def mail_id_of(reply: str) -> str:
    return next(word.strip(",.") for word in reply.split() if word.count("-") == 4)


def test_submitted_mail_goes_the_way_of_all_mail_of_ours(pipeline: Pipeline) -> None:
    raw = message(
        "sub@partner.test", X_Mailscope_Reference="IT-11", X_Mailscope_Stream="invitation", X_Mailscope_Template="Welcome",
        X_Mailscope_Tag="t", Bcc="hidden@partner.test",
    )  # fmt: skip
    with submitting(pipeline) as connection:
        code, reply = submit(connection, raw, "sub@partner.test", "hidden@partner.test")
    assert code == 250 and "Accepted as" in reply
    mail = pipeline.outcome(mail_id_of(reply))
    for row in mail["recipients"]:
        assert (row["status"], row["reference"], row["stream"], row["template"], row["tag"]) == (
            "delivered", "IT-11", "invitation", "Welcome", "t",
        )  # fmt: skip
    assert mail["events"][0]["detail"] == "accepted from app over ESMTPSA"
    (arrived,) = [one for one in pipeline.outside.partner.arrived if one.recipients == ["sub@partner.test"]]
    assert b"Mailscope-" not in arrived.content and b"hidden" not in arrived.content
    key = pipeline.outside.zones.records["s1._domainkey.ours.test"]["TXT"][0].encode()
    assert dkim.verify(arrived.content, dnsfunc=lambda name, timeout=5: key)
    assert b"app.ours.test" not in arrived.content  # who submitted is nobody else's to know


def test_each_recipient_hears_what_is_wrong_and_the_others_get_their_mail(pipeline: Pipeline) -> None:
    put = pipeline._client.put(f"{pipeline.api}/api/v1/suppressions/never@partner.test", json={})
    assert put.status_code == 200
    raw = message("some@partner.test")
    with submitting(pipeline) as connection:
        code, reply = submit(connection, raw, "some@partner.test", "never@partner.test")
        assert code == 250 and "but not for never@partner.test: suppressed" in reply
        statuses = {row["recipient"]: row["status"] for row in pipeline.outcome(mail_id_of(reply))["recipients"]}
        assert statuses == {"some@partner.test": "delivered", "never@partner.test": "rejected"}
        code, reply = submit(connection, raw, "never@partner.test")
        assert code == 550 and "never@partner.test: suppressed" in reply
        assert pipeline.outcome(mail_id_of(reply))["recipients"][0]["reason"] == "suppressed"
        assert connection.mail("desk@ours.test")[0] == 250
        assert connection.rcpt("never@-partner..test")[0] == 553 and connection.rcpt("fine@partner.test")[0] == 250


def reports_about(pipeline: Pipeline, mail_id: str) -> dict[str, bytes]:
    """The reports that were sent about a mail: their octets by the recipient and the action that they name."""
    found = {}
    for row in pipeline.get("/mails", stream="delivery-report", to="desk@ours.test", limit=500).json()["items"]:
        if row["tag"] == mail_id:
            octets = pipeline.get(f"/mails/{row['mail_id']}/raw").content
            told = email.message_from_bytes(octets).get_payload()[1].get_payload()  # type: ignore[union-attr,index]
            found[f"{told[1]['Final-Recipient'].split()[-1]} {told[1]['Action']}"] = octets
    return found


def test_a_submitter_hears_what_it_asked_to_hear(pipeline: Pipeline) -> None:
    """RFC 3461: failure, success and delay, each for the recipient that it was asked for."""
    plan = pipeline.outside.partner.plan
    plan["asked-gone@partner.test"] = plan["quiet-gone@partner.test"] = "550 5.1.1 User unknown"
    plan["asked-late@partner.test"] = ["451 4.2.1 Not now", "451 4.2.1 Not now", "451 4.2.1 Not now"]
    pipeline._client.put(f"{pipeline.api}/api/v1/suppressions/asked-never@partner.test", json={})
    asked = {
        "asked-gone@partner.test": ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;Gone+2Bx@partner.test"],
        "quiet-gone@partner.test": ["NOTIFY=NEVER"],
        "asked-late@partner.test": ["NOTIFY=DELAY"],
        "asked-well@partner.test": ["NOTIFY=SUCCESS,FAILURE"],
        "asked-never@partner.test": ["NOTIFY=FAILURE"],
        "quiet-well@partner.test": [],
    }
    with submitting(pipeline) as connection:
        connection.ehlo()
        assert connection.has_extn("dsn")
        assert connection.mail("desk@ours.test", ["RET=HDRS", "ENVID=Job+2B7"])[0] == 250
        assert connection.rcpt("wrong@partner.test", ["NOTIFY=SOMETIMES"])[0] == 555
        for address, options in asked.items():
            assert connection.rcpt(address, options)[0] == 250
        code, reply = connection.data(message("asked-gone@partner.test"))
    assert code == 250
    mail_id = mail_id_of(reply.decode())
    wanted = {
        "asked-gone@partner.test failed",
        "asked-late@partner.test delayed",
        "asked-well@partner.test relayed",
        "asked-never@partner.test failed",
    }
    assert wait_for(lambda: set(reports_about(pipeline, mail_id)) >= wanted, 30), reports_about(
        pipeline, mail_id
    ).keys()
    pipeline.outcome(mail_id)
    reports = reports_about(pipeline, mail_id)
    assert set(reports) == wanted
    gone = reports["asked-gone@partner.test failed"]
    for line in (b"Original-Envelope-Id: Job+7", b"Original-Recipient: rfc822;Gone+x@partner.test", b"Status: 5.1.1"):
        assert line + b"\r\n" in gone
    assert b"suppress" in reports["asked-never@partner.test failed"]


def test_the_receiver_offers_no_reports(pipeline: Pipeline) -> None:
    with pipeline.smtp() as connection:
        connection.ehlo()
        assert not connection.has_extn("dsn")
        assert connection.mail("a@good.test", ["ENVID=x"])[0] == 555


@pytest.mark.parametrize(
    ("user", "sender", "author", "code"),
    [
        ("app", "desk@second.test", "desk@second.test", 550),  # of another user
        ("app", "desk@ours.test", "desk@second.test", 550),
        ("app", "desk@ours.test", "ceo@bank.test", 550),
        ("app", "", "desk@second.test", 550),
        ("app", "", "mailer-daemon@ours.test", 250),  # a report
        ("other", "desk@second.test", "desk@second.test", 250),
    ],
)
def test_a_user_sends_from_its_own_domains(pipeline: Pipeline, user: str, sender: str, author: str, code: int) -> None:
    with submitting(pipeline, user) as connection:
        assert (
            submit(connection, message("who@partner.test", From=author), "who@partner.test", sender=sender)[0] == code
        )


def test_nobody_gets_in_without_tls_and_a_password(pipeline: Pipeline) -> None:
    with smtplib.SMTP("127.0.0.1", pipeline.base + 87, "x.test", 30) as connection:
        connection.ehlo()
        assert not connection.has_extn("auth")
        assert connection.mail("desk@ours.test")[0] == 530
        assert connection.docmd("AUTH", "PLAIN AGFwcAB4")[0] == 538
    for user, password in (("app", "wrong"), ("nobody", ""), ("app", ""), ("", "")):
        with pytest.raises(smtplib.SMTPAuthenticationError), submitting(pipeline, user, password, "127.0.0.5"):
            pass
    with pipeline.smtp() as connection:  # the receiver has nothing to log in to
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection.starttls(context=context)
        connection.ehlo()
        assert not connection.has_extn("auth") and connection.docmd("AUTH", "PLAIN AGFwcAB4")[0] == 502


def test_guessing_passwords_comes_to_an_end(pipeline: Pipeline) -> None:
    """A hundred failed log-ins in an hour of one address, over however many connections, and no more."""
    wrong = "PLAIN " + base64.b64encode(b"\0app\0wrong").decode()
    replies: list[int] = []
    for _ in range(103):
        with contextlib.suppress(smtplib.SMTPException, OSError), tls_connection(pipeline, "127.0.0.77") as connection:
            connection.ehlo()
            replies.append(connection.docmd("AUTH", wrong)[0])
    assert replies[:90] == [535] * 90 and 235 not in replies and len(replies) - replies.count(421) <= 100
    with submitting(pipeline) as connection:  # others are not affected
        assert connection.noop()[0] == 250


def test_a_submission_with_two_froms_is_refused_and_says_why(pipeline: Pipeline) -> None:
    raw = b"From: a@ours.test\r\nFrom: ceo@bank.test\r\nSubject: x\r\n\r\nx\r\n"
    with submitting(pipeline) as connection:
        code, reply = submit(connection, raw, "two@partner.test")
    assert code == 550 and "exactly one From" in reply


def test_mail_that_was_accepted_outlives_a_kill(pipeline: Pipeline) -> None:
    with submitting(pipeline) as connection:
        replies = [submit(connection, message("kill@partner.test"), f"kill{n}@partner.test")[1] for n in range(5)]
    before = pipeline.stage_pid("submission")
    os.kill(before, signal.SIGKILL)
    for reply in replies:
        assert pipeline.outcome(mail_id_of(reply))["recipients"][0]["status"] == "delivered"

    def again() -> bool:
        with contextlib.suppress(OSError, smtplib.SMTPException), submitting(pipeline) as connection:
            return submit(connection, message("after@partner.test"), "after@partner.test")[0] == 250
        return False

    assert wait_for(again, 30)
