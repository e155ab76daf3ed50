"""What comes back about a mail after it was delivered: bounces, delays, complaints, and what is forged."""

import json
import time
from typing import Any

import confluent_kafka
import pytest

from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for


def delivered(pipeline: Pipeline, address: str, **fields: Any) -> tuple[str, str]:
    """Send a mail; its mail_id, and the bounce address that its server saw."""
    mail_id = pipeline.submit(address, reference="IT-9", stream="news", **fields)
    assert pipeline.outcome(mail_id)["recipients"][0]["status"] == "delivered"
    (arrived,) = [one for one in pipeline.outside.partner.arrived if one.recipients == [address]]
    return mail_id, arrived.mail_from


def dsn(pipeline: Pipeline, to: str, recipient: str, action: str, status: str, said: str) -> bytes:
    text = (
        f"From: Mail Delivery System <mailer-daemon@partner.test>\nTo: {to}\nSubject: Undelivered Mail\n"
        f"Message-ID: <{time.time()}@partner.test>\n"
        "Date: Fri, 27 Nov 2026 12:00:00 +0000\nMIME-Version: 1.0\nAuto-Submitted: auto-replied\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nIt could not be delivered.\n"
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.partner.test\n\n"
        f"Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}\nRemote-MTA: dns; inner.partner.test\n"
        f"Diagnostic-Code: smtp; {said}\n\n--b--\n"
    )
    return text.replace("\n", "\r\n").encode()


def arf(bounce_address: str) -> bytes:
    text = (
        "From: fbl@good.test\nTo: fbl@ours.test\nSubject: complaint\nDate: Fri, 27 Nov 2026 12:00:00 +0000\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\n\n'
        "--b\nContent-Type: text/plain\n\nThis is an abuse report.\n"
        "--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\n\n"
        f"--b\nContent-Type: message/rfc822\n\nReturn-Path: <{bounce_address}>\nFrom: desk@ours.test\nSubject: hello\n\nhi\n\n--b--\n"
    )
    return text.replace("\n", "\r\n").encode()


def row_once(pipeline: Pipeline, mail_id: str, status: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def done() -> bool:
        found.update(pipeline.detail(mail_id)["recipients"][0])
        return found["status"] == status

    assert wait_for(done, 15), found
    return found


def statuses(pipeline: Pipeline, mail_id: str) -> list[str]:
    return [event["status"] for event in pipeline.detail(mail_id)["events"]]


def test_a_bounce_after_delivery_changes_the_row_and_nothing_else_of_it(pipeline: Pipeline) -> None:
    address = "left@partner.test"
    mail_id, bounce_address = delivered(pipeline, address)
    before = pipeline.detail(mail_id)["recipients"][0]
    raw = dsn(pipeline, bounce_address, address, "failed", "5.1.1", "550 5.1.1 <left@partner.test> no such user here")
    assert pipeline.send(raw, bounce_address, sender="")[0] == 250
    row = row_once(pipeline, mail_id, "delivery_failed")
    assert (row["late"], row["reason"], row["bounce_class"], row["enhanced_code"]) == (
        True, "invalid_address", "invalid_recipient", "5.1.1",
    )  # fmt: skip
    changed = {name for name in before if before[name] != row[name]}
    assert changed <= {
        "status", "late", "reason", "detail", "bounce_type", "bounce_class", "smtp_code", "enhanced_code", "smtp_text", "host",
        "updated_at", "advice",
    }, changed  # fmt: skip
    assert "inner.partner.test" in json.dumps(pipeline.detail(mail_id)["events"][-1])
    entry = pipeline.get(f"/suppressions/{address}").json()
    assert (entry["active"], entry["reason"], entry["mail_id"]) == (True, "invalid_recipient", mail_id)


def test_the_public_topic_tells_late_news_with_the_whole_summary(pipeline: Pipeline) -> None:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": pipeline.bootstrap, "group.id": f"late-{time.time()}", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["mail.status.outbound"])
    mail_id, bounce_address = delivered(pipeline, "topic@partner.test", subject="for the topic")
    raw = dsn(pipeline, bounce_address, "topic@partner.test", "failed", "5.2.2", "552 5.2.2 mailbox full")
    assert pipeline.send(raw, bounce_address, sender="")[0] == 250
    found: dict[str, dict[str, Any]] = {}

    def told() -> bool:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            data = json.loads(message.value())["data"]
            if data["mail_id"] == mail_id:
                found[data["status"]] = data
        return "delivery_failed" in found

    assert wait_for(told, 20, 0)
    consumer.close()
    first, late = found["sent"], found["delivery_failed"]
    assert late["late"] and late["bounce_class"] == "mailbox_full" and late["reference"] == "IT-9"
    same = ("recipient", "direction", "received_at", "from", "subject", "message_id", "stream", "template", "size")
    assert {name: late[name] for name in same} == {name: first[name] for name in same}


def test_a_full_mailbox_is_left_alone_for_three_days(pipeline: Pipeline) -> None:
    mail_id, bounce_address = delivered(pipeline, "full@partner.test")
    raw = dsn(pipeline, bounce_address, "full@partner.test", "failed", "5.2.2", "552 5.2.2 Over quota")
    assert pipeline.send(raw, bounce_address, sender="")[0] == 250
    row_once(pipeline, mail_id, "delivery_failed")
    entry = pipeline.get("/suppressions/full@partner.test").json()
    assert entry["reason"] == "mailbox_full" and entry["expires_at"]


def test_a_delay_is_told_and_changes_no_status(pipeline: Pipeline) -> None:
    mail_id, bounce_address = delivered(pipeline, "slowly@partner.test")
    raw = dsn(pipeline, bounce_address, "slowly@partner.test", "delayed", "4.4.1", "451 4.4.1 connection timed out")
    assert pipeline.send(raw, bounce_address, sender="")[0] == 250
    assert wait_for(lambda: statuses(pipeline, mail_id) == ["sent", "delivered", "deferred"], 15)
    assert pipeline.detail(mail_id)["recipients"][0]["status"] == "delivered"
    assert pipeline.get("/suppressions/slowly@partner.test").status_code == 404


def test_a_complaint_suppresses_and_the_mail_stays_delivered(pipeline: Pipeline) -> None:
    mail_id, bounce_address = delivered(pipeline, "angry@partner.test")
    assert pipeline.send(arf(bounce_address), "fbl@ours.test", sender="fbl@good.test")[0] == 250
    assert wait_for(lambda: statuses(pipeline, mail_id)[-1] == "complained", 15)
    assert pipeline.detail(mail_id)["recipients"][0]["status"] == "delivered"
    entry = pipeline.get("/suppressions/angry@partner.test").json()
    assert (entry["reason"], entry["mail_id"]) == ("complaint", mail_id)


@pytest.mark.parametrize("kind", ["complaint", "dsn"])
def test_what_is_forged_is_kept_and_has_no_effect(pipeline: Pipeline, kind: str) -> None:
    address = f"forged-{kind}@partner.test"
    mail_id, bounce_address = delivered(pipeline, address)
    local, _, domain = bounce_address.partition("@")
    forged = f"{local[:-3]}aaa@{domain}"
    if kind == "dsn":
        raw = dsn(pipeline, forged, address, "failed", "5.1.1", "550 5.1.1 no such user")
        assert pipeline.send(raw, forged, sender="")[0] == 550  # there is no such address
        raw = raw.replace(b"Subject: Und", b"X-Original-Return-Path: <" + forged.encode() + b">\r\nSubject: Und")
    else:
        raw = arf(forged)
    assert pipeline.send(raw, "fbl@ours.test", sender="fbl@good.test" if kind == "complaint" else "")[0] == 250

    def kept() -> bool:
        rows = pipeline.get("/mails", to="fbl@ours.test", reason="unmatched").json()["items"]
        return any(pipeline.get(f"/mails/{row['mail_id']}/raw").content == raw for row in rows)

    assert wait_for(kept, 15)
    assert statuses(pipeline, mail_id) == ["sent", "delivered"]
    assert pipeline.get(f"/suppressions/{address}").status_code == 404


def test_an_automatic_answer_says_nothing_about_delivery(pipeline: Pipeline) -> None:
    mail_id, bounce_address = delivered(pipeline, "away@partner.test")
    raw = (
        f"From: away@partner.test\r\nTo: {bounce_address}\r\nSubject: Out of office\r\nAuto-Submitted: auto-replied\r\n"
        "Message-ID: <away-1@partner.test>\r\n\r\nI am back on Monday.\r\n"
    ).encode()
    assert pipeline.send(raw, bounce_address, sender="")[0] == 250
    (row,) = pipeline.settled("away-1@partner.test")
    assert (row["status"], row["reason"]) == ("dropped", "report") and mail_id in row["detail"]
    assert statuses(pipeline, mail_id) == ["sent", "delivered"]
