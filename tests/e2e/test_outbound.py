"""Outbound mail, from the send hook to the remote server, and what the log says of it."""

import base64
import subprocess
import sys

import dkim

from tests.e2e.pipeline import ROOT, Pipeline
from tests.wait_for import wait_for


def test_delivered_mail_shows_the_servers_answer_and_is_signed(pipeline: Pipeline) -> None:
    mail_id = pipeline.submit(
        "ok@partner.test", reference="IT-7", stream="request-notification", template="Request created", tag="x"
    )
    mail = pipeline.outcome(mail_id)
    (row,) = mail["recipients"]
    assert (row["status"], row["direction"], row["attempts"]) == ("delivered", "outbound", 1)
    assert (row["reference"], row["stream"], row["template"], row["tag"]) == (
        "IT-7",
        "request-notification",
        "Request created",
        "x",
    )
    (attempt,) = mail["attempts"]
    assert (attempt["code"], attempt["enhanced_code"], attempt["host"]) == (250, "2.0.0", "mx.partner.test")
    assert "queued as " in attempt["text"] and attempt["servers"] == ["mx.partner.test"]
    (arrived,) = [one for one in pipeline.outside.partner.arrived if one.recipients == ["ok@partner.test"]]
    key = pipeline.outside.zones.records["s1._domainkey.ours.test"]["TXT"][0].encode()
    assert dkim.verify(arrived.content, dnsfunc=lambda name, timeout=5: key)
    assert b"X-Mailscope" not in arrived.content
    assert arrived.mail_from.startswith("b+") and arrived.mail_from.endswith("@ours.test")


def test_a_hard_bounce_has_its_class_and_the_servers_words(pipeline: Pipeline) -> None:
    words = "550 5.1.1 <hard@partner.test>: Recipient address rejected: User unknown"
    pipeline.outside.partner.plan["hard@partner.test"] = words
    mail = pipeline.outcome(pipeline.submit("hard@partner.test"))
    (row,) = mail["recipients"]
    assert (row["status"], row["reason"]) == ("delivery_failed", "invalid_address")
    assert (row["bounce_type"], row["bounce_class"]) == ("hard", "invalid_recipient")
    assert (row["smtp_code"], row["enhanced_code"]) == (550, "5.1.1")
    assert mail["attempts"][0]["text"] == words[4:] and mail["attempts"][0]["command"] == "RCPT"


def test_a_reputation_block_is_not_the_recipients_fault(pipeline: Pipeline) -> None:
    pipeline.outside.partner.plan["block@partner.test"] = "550 5.7.1 Your IP is listed at zen.spamhaus.org"
    (row,) = pipeline.outcome(pipeline.submit("block@partner.test"))["recipients"]
    assert (row["bounce_type"], row["bounce_class"]) == ("block", "reputation_blocked")


def test_deferred_then_delivered(pipeline: Pipeline) -> None:
    pipeline.outside.partner.plan["grey@partner.test"] = ["451 4.7.1 Greylisted, try again later"]
    mail_id = pipeline.submit("grey@partner.test")
    mail = pipeline.outcome(mail_id)
    assert [event["status"] for event in mail["events"]] == ["sent", "deferred", "delivered"]
    assert mail["events"][1]["bounce"]["bounce_class"] == "greylisted" and mail["events"][1]["next_attempt_at"]
    assert [attempt["code"] for attempt in mail["attempts"]] == [451, 250]


def test_a_server_that_is_away_is_tried_until_the_mail_expires(pipeline: Pipeline) -> None:
    mail_id = pipeline.submit("someone@dead.test")
    row = wait_for(
        lambda: [r for r in pipeline.get(f"/mails/{mail_id}").json().get("recipients", []) if r["attempts"] > 1]
    )
    assert row[0]["status"] == "deferred" and row[0]["bounce_class"] == "connection_failed"


def test_a_domain_that_takes_no_mail_fails_at_once(pipeline: Pipeline) -> None:
    for address in ("a@nomail.test", "a@nosuchdomain.test"):
        (row,) = pipeline.outcome(pipeline.submit(address))["recipients"]
        assert (row["status"], row["bounce_class"]) == ("delivery_failed", "invalid_domain")


def test_blind_copies_get_the_mail_and_are_not_named_in_it(pipeline: Pipeline) -> None:
    mail_id = pipeline.submit("one@partner.test", cc=["two@partner.test"], bcc=["three@partner.test"])
    mail = pipeline.outcome(mail_id)
    assert {row["recipient"]: row["status"] for row in mail["recipients"]} == {
        f"{name}@partner.test": "delivered" for name in ("one", "two", "three")
    }
    (arrived,) = [one for one in pipeline.outside.partner.arrived if one.recipients == ["three@partner.test"]]
    assert b"three@partner.test" not in arrived.content


def test_a_whole_message_keeps_its_text_and_loses_our_headers(pipeline: Pipeline) -> None:
    raw = b"From: desk@ours.test\nTo: raw@partner.test\nSubject: raw\nX-Mailscope-Reference: IT-9\n\n.dot\nend\n"
    mail_id = pipeline.submit("raw@partner.test", subject="", text=None, raw=base64.b64encode(raw).decode())
    mail = pipeline.outcome(mail_id)
    assert mail["recipients"][0]["reference"] == "IT-9" and mail["subject"] == "raw"
    (arrived,) = [one for one in pipeline.outside.partner.arrived if one.recipients == ["raw@partner.test"]]
    assert arrived.content.endswith(b"\r\n\r\n.dot\r\nend\r\n") and b"X-Mailscope" not in arrived.content


def test_an_idempotency_key_sends_once(pipeline: Pipeline) -> None:
    body = {"from": "desk@ours.test", "to": ["once@partner.test"], "subject": "once", "text": "x"}
    first = pipeline.post("/send", body, {"Idempotency-Key": "k-1"})
    second = pipeline.post("/send", body, {"Idempotency-Key": "k-1"})
    assert first.json() == second.json()
    pipeline.outcome(first.json()["mail_id"])
    assert len([one for one in pipeline.outside.partner.arrived if one.recipients == ["once@partner.test"]]) == 1
    changed = pipeline.post("/send", {**body, "text": "y"}, {"Idempotency-Key": "k-1"})
    assert (changed.status_code, changed.json()["error"]["code"]) == (422, "idempotency_key_reused")


def test_what_cannot_be_sent_says_which_field(pipeline: Pipeline) -> None:
    good = {"from": "desk@ours.test", "to": ["a@partner.test"], "subject": "s", "text": "t"}
    for change, field in (
        ({"to": ["a@partner.test\r\n"]}, "to"),
        ({"to": []}, "to"),
        ({"from": "x@elsewhere.test"}, "from"),
        ({"subject": "a\r\nBcc: b@c.test"}, "subject"),
        ({"headers": {"Bad Name": "x"}}, "headers"),
        ({"text": None}, "text"),
        ({"raw": "***"}, "raw"),
        ({"colour": "red"}, "colour"),
    ):
        answer = pipeline.post("/send", {**good, **change})
        assert answer.status_code == 422, (change, answer.text)
        assert answer.json()["error"]["field"] == field, (change, answer.text)


def test_a_token_sends_only_as_its_domains_whatever_the_message_says(pipeline: Pipeline) -> None:
    command = [
        sys.executable,
        "-m",
        "mailscope",
        "token",
        "create",
        "limited",
        "--scope",
        "send",
        "--domain",
        "ours.test",
    ]
    token = subprocess.run(
        command, cwd=ROOT, env=pipeline.environ, capture_output=True, text=True, check=True
    ).stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}

    def answer(head: str, sender: str = "desk@ours.test") -> int:
        raw = base64.b64encode(f"{head}Subject: x\n\nx\n".encode()).decode()
        return pipeline.post("/send", {"from": sender, "to": ["t@partner.test"], "raw": raw}, headers).status_code

    assert answer("From: desk@ours.test\n") == 202
    assert answer("From: ceo@elsewhere.test\n") == 422
    assert answer("From: ceo@second.test\n") == 403
    assert answer("From: desk@ours.test\nSender: ceo@second.test\n") == 403
    assert answer("From: desk@ours.test\n", "ceo@second.test") == 403
    fields = {"from": "desk@ours.test", "to": ["t@partner.test"], "subject": "x", "text": "x"}
    for name in ("DKIM-Signature", "Received", "Authentication-Results", "ARC-Seal"):
        assert pipeline.post("/send", {**fields, "headers": {name: "x"}}, headers).status_code == 422


def test_a_body_that_is_no_json_has_no_field_that_is_wrong(pipeline: Pipeline) -> None:
    headers = {"Content-Type": "application/json"}
    answer = pipeline._client.post(f"{pipeline.api}/api/v1/send", content=b'{"from": ', headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (422, None) and "no JSON" in error["message"]
