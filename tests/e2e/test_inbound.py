"""Inbound mail, seen from outside: what the sender hears, what arrives, and what the log says."""

import email
import email.policy
import hashlib
import os
from datetime import UTC, datetime

import dkim
from standardwebhooks import Webhook

from tests.e2e.pipeline import Pipeline
from tests.wait_for import wait_for


def test_forwarded_mail_arrives_unchanged_and_still_verifies(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("fwd-a@ours.test", "to the team")
    assert pipeline.send(raw, "fwd-a@ours.test")[0] == 250
    (row,) = pipeline.settled(message_id)
    assert (row["status"], row["spf"], row["dkim"], row["dmarc"]) == ("forwarded", "pass", "pass", "pass")
    (arrived,) = pipeline.outside.partner.got(message_id.encode())
    assert arrived.content.endswith(raw)
    assert arrived.mail_from.startswith("SRS0=") and arrived.mail_from.endswith("@ours.test")
    added = arrived.content[: -len(raw)]
    assert b"Authentication-Results: mx.ours.test;" in added and added.count(b"Received: from") == 1
    records = pipeline.outside.zones.records

    def txt(name: bytes, timeout: int = 5) -> bytes:
        return records[name.decode().rstrip(".")]["TXT"][0].encode()

    assert dkim.verify(arrived.content, dnsfunc=txt)


def test_an_answer_to_the_forward_finds_its_first_sender(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("fwd-b@ours.test", "will bounce later")
    pipeline.send(raw, "fwd-b@ours.test")
    pipeline.settled(message_id)
    (arrived,) = pipeline.outside.partner.got(message_id.encode())
    report, report_id = pipeline.mail(arrived.mail_from, "Undelivered", sender="mailer-daemon@partner.test")
    assert pipeline.send(report, arrived.mail_from, sender="")[0] == 250
    (row,) = pipeline.settled(report_id)
    assert row["status"] == "forwarded"
    (back,) = pipeline.outside.good.got(report_id.encode())
    assert (back.mail_from, back.recipients) == ("<>", ["anna@good.test"])


def test_a_rewritten_sender_takes_reports_only(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("fwd-e@ours.test")
    pipeline.send(raw, "fwd-e@ours.test")
    pipeline.settled(message_id)
    (arrived,) = pipeline.outside.partner.got(message_id.encode())
    assert pipeline.send(raw, arrived.mail_from, sender="stranger@good.test")[0] == 550


def test_a_forged_bounce_address_is_refused(pipeline: Pipeline) -> None:
    raw, _ = pipeline.mail()
    code, _ = pipeline.send(raw, "SRS0=aaaaaaaa=bb=good.test=anna@ours.test", sender="")
    assert code == 550


def test_a_forward_to_two_waits_for_both_and_tells_the_worst(pipeline: Pipeline) -> None:
    pipeline.outside.slow.plan["b@slow.test"] = "550 5.1.1 no such user"
    raw, message_id = pipeline.mail("two@ours.test")
    pipeline.send(raw, "two@ours.test")
    (row,) = pipeline.settled(message_id)
    assert (row["status"], row["bounce_class"]) == ("delivery_failed", "invalid_recipient")
    assert {attempt["target"] for attempt in pipeline.detail(row["mail_id"])["attempts"]} == {
        "a@partner.test",
        "b@slow.test",
    }
    assert len(pipeline.outside.partner.got(message_id.encode())) == 1


def test_dropped_mail_is_accepted_and_says_which_rule(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("drop@ours.test")
    assert pipeline.send(raw, "drop@ours.test")[0] == 250
    (row,) = pipeline.settled(message_id)
    assert (row["status"], row["reason"], row["detail"]) == ("dropped", "rule", "not read here")


def test_a_spoofed_author_hears_550_that_names_dmarc(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail(subject="spoof", sign=False)
    code, text = pipeline.send(raw, "desk@ours.test", source="127.0.0.9")
    assert code == 550 and "5.7.26" in text and "DMARC" in text
    (row,) = pipeline.settled(message_id)
    assert (row["status"], row["dmarc"], row["reason"], row["late"]) == ("rejected", "fail", "dmarc_reject", False)
    assert not pipeline.outside.desk.called("spoof")


def test_a_domain_that_only_logs_accepts_the_spoof_and_shows_the_failure(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("any@open.test", sign=False)
    assert pipeline.send(raw, "any@open.test", source="127.0.0.9")[0] == 250
    (row,) = pipeline.settled(message_id)
    assert (row["status"], row["dmarc"]) == ("dropped", "fail")


def test_recipients_of_two_policies_do_not_share_a_transaction(pipeline: Pipeline) -> None:
    raw, _ = pipeline.mail()
    assert pipeline.send(raw, ["desk@ours.test", "any@open.test"])[0] == 452


def test_a_reject_rule_answers_in_the_dialogue(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("no@ours.test")
    assert pipeline.send(raw, "no@ours.test") == (550, "5.7.1 not wanted")
    (row,) = pipeline.settled(message_id)
    assert (row["status"], row["reason"]) == ("rejected", "policy")


def test_a_route_whose_conditions_fail_refuses(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("lists@ours.test")
    assert pipeline.send(raw, "lists@ours.test")[0] == 550
    raw, message_id = pipeline.mail("lists@ours.test", headers={"List-Id": "<a.b.test>"})
    assert pipeline.send(raw, "lists@ours.test")[0] == 250
    assert pipeline.settled(message_id)[0]["status"] == "dropped"


def test_processed_mail_calls_the_webhook_once_signed_and_shows_the_key(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail(subject="printer on fire", body="It smokes.\n")
    assert pipeline.send(raw, "desk@ours.test")[0] == 250
    (row,) = pipeline.settled(message_id)
    assert row["status"] == "processed" and row["reference"].startswith("IT-") and row["channel"] == "helpdesk"
    (call,) = pipeline.outside.desk.called("printer on fire")
    Webhook("whsec_" + "MDAw" * 8).verify(call.body, call.headers)
    assert call.mail["text"] == "It smokes.\n" and call.mail["mail_id"] == row["mail_id"]
    assert call.mail["auth"]["dmarc"] == "pass" and call.mail["message_id"] == message_id


def test_skipped_and_failed_carry_the_handlers_reason(pipeline: Pipeline) -> None:
    for subject, status, detail in (
        ("skip this", "skipped", "not for the desk"),
        ("fail this", "failed", "the field priority is missing"),
    ):
        raw, message_id = pipeline.mail(subject=subject)
        pipeline.send(raw, "desk@ours.test")
        (row,) = pipeline.settled(message_id)
        assert (row["status"], row["detail"]) == (status, detail)


def test_a_handler_that_is_down_is_tried_again_with_the_same_id(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail(subject="down for now")
    pipeline.send(raw, "desk@ours.test")
    assert wait_for(lambda: [r for r in pipeline.rows(message_id) if r["status"] == "deferred"])
    pipeline.outside.desk.up = True
    (row,) = pipeline.settled(message_id)
    assert row["status"] == "processed" and row["attempts"] >= 2
    calls = pipeline.outside.desk.called("down for now")
    assert len({call.headers["webhook-id"] for call in calls}) == 1
    assert len(calls) == row["attempts"]  # one of them was answered, and none came after it


def test_a_comment_reaches_the_handler_with_the_key_that_its_subject_names(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail(subject="door does not close")
    pipeline.send(raw, "desk@ours.test")
    (first,) = pipeline.settled(message_id)
    key = first["reference"]
    comments = (f"Comment on [{key}]", f"comment: {key.lower()} still open", "comment on IT-999999", f"Re: {key}")
    for subject, given, becomes in zip(comments, (key, key, None, key), (key, key, None, None), strict=True):
        raw, message_id = pipeline.mail(subject=subject)
        pipeline.send(raw, "desk@ours.test")
        (row,) = pipeline.settled(message_id)
        (call,) = pipeline.outside.desk.called(subject)
        assert call.mail["reference"] == given and row["status"] == "processed", subject
        assert row["detail"] == (f"added to {becomes}" if becomes else f"became {row['reference']}")
        assert (row["reference"] == key) == (becomes == key)
    raw, message_id = pipeline.mail("fwd-x@ours.test", f"Fwd: {key}")  # no handler gets it
    pipeline.send(raw, "fwd-x@ours.test")
    assert pipeline.settled(message_id)[0]["reference"] is None
    assert len(pipeline.get("/mails", reference=key).json()["items"]) == 3


def test_an_unknown_recipient_is_refused_at_rcpt_and_logged(pipeline: Pipeline) -> None:
    raw, _ = pipeline.mail()
    assert pipeline.send(raw, "nobody@ours.test")[0] == 550
    (row,) = wait_for(lambda: pipeline.get("/mails", to="nobody@ours.test").json()["items"])
    assert (row["status"], row["reason"], row["from"]) == ("rejected", "unknown_recipient", None)
    assert row["envelope_from"] == "anna@good.test"


def test_an_attachment_of_50_mb_is_kept_byte_for_byte_and_its_handler_is_called_once(pipeline: Pipeline) -> None:
    line = b"y" * 98 + b"\r\n"
    message_id = f"{os.urandom(9).hex()}@good.test"
    head = (
        f"From: anna@good.test\r\nTo: desk@ours.test\r\nSubject: big\r\nMessage-ID: <{message_id}>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="cut"\r\n\r\n--cut\r\n\r\nSee the attachment.\r\n--cut\r\n'
        'Content-Type: application/octet-stream; name="big.log"\r\nContent-Disposition: attachment; filename="big.log"\r\n\r\n'
    )
    raw = head.encode() + line * 500_000 + b"\r\n--cut--\r\n"
    assert pipeline.send(raw, "desk@ours.test")[0] == 250
    (row,) = pipeline.settled(message_id, 90)
    assert (row["status"], row["attempts"]) == ("processed", 1)
    (call,) = pipeline.outside.desk.called("big")
    (attachment,) = call.mail["attachments"]
    assert (attachment["name"], attachment["size"], attachment["content"]) == ("big.log", 50_000_000, None)
    assert call.mail["text"].strip() == "See the attachment."
    content = pipeline.page(call.mail["raw_url"].removeprefix(pipeline.api)).content
    assert hashlib.sha256(content).digest() == hashlib.sha256(raw).digest()


def test_a_message_over_the_limit_is_refused_and_the_connection_goes_on(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail()
    with pipeline.smtp() as connection:
        connection.ehlo()
        connection.mail("anna@good.test")
        connection.rcpt("drop@ours.test")
        code, _ = connection.data(raw + b"z" * 70 + (b"\r\n" + b"z" * 70) * 760_000)
        assert code == 552
        connection.mail("anna@good.test")
        connection.rcpt("drop@ours.test")
        assert connection.data(raw)[0] == 250
    assert pipeline.settled(message_id)[0]["size"] == len(raw)


def test_utf8_addresses_and_subjects(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail(subject="grüße 你好")
    assert pipeline.send(raw, "desk@ours.test", options=("SMTPUTF8",))[0] == 250
    assert pipeline.settled(message_id)[0]["subject"] == "grüße 你好"
    raw, message_id = pipeline.mail(subject="from a name with an umlaut")
    with pipeline.smtp() as connection:
        connection.command_encoding = "utf-8"
        connection.ehlo()
        assert connection.docmd("MAIL FROM:<jürgen@good.test> SMTPUTF8")[0] == 250
        assert connection.rcpt("desk@ours.test")[0] == 250
        assert connection.data(raw)[0] == 250
    assert pipeline.settled(message_id)[0]["envelope_from"] == "jürgen@good.test"


def test_raw_utf8_headers_are_logged_as_they_are(pipeline: Pipeline) -> None:
    message_id = "utf8-headers@good.test"
    raw = f"From: Zoë <anna@good.test>\r\nTo: drop@ours.test\r\nSubject: Größe\r\nMessage-ID: <{message_id}>\r\n\r\nhi\r\n"
    assert pipeline.send(raw.encode(), "drop@ours.test", options=("SMTPUTF8", "BODY=8BITMIME"))[0] == 250
    (row,) = pipeline.settled(message_id)
    assert (row["subject"], row["from_name"]) == ("Größe", "Zoë")
    assert pipeline.get(f"/mails/{row['mail_id']}/raw").content == raw.encode()


def test_the_null_sender_is_taken(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail(subject="from nobody")
    assert pipeline.send(raw, "desk@ours.test", sender="")[0] == 250
    assert pipeline.settled(message_id)[0]["envelope_from"] == ""


def test_two_recipients_are_two_rows(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("desk@ours.test", "for two")
    assert pipeline.send(raw, ["desk@ours.test", "drop@ours.test"])[0] == 250
    assert wait_for(lambda: len(pipeline.rows(message_id)) == 2)
    assert {row["recipient"]: row["status"] for row in pipeline.settled(message_id)} == {
        "desk@ours.test": "processed",
        "drop@ours.test": "dropped",
    }


def test_a_mail_that_goes_round_is_refused(pipeline: Pipeline) -> None:
    raw, _ = pipeline.mail("fwd-a@ours.test", "round")
    looped = b"Delivered-To: fwd-a@ours.test\r\n" + raw
    code, text = pipeline.send(looped, "fwd-a@ours.test")
    assert code == 554 and "5.4.6" in text
    many = b"Received: from a by b; Tue, 03 Nov 2026 12:22:54 +0000\r\n" * 101 + raw
    assert pipeline.send(many, "fwd-a@ours.test")[0] == 554


def test_the_detail_tells_what_was_on_the_wire(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("fwd-c@ours.test", "look closely")
    before = datetime.now(UTC)
    pipeline.send(raw, "fwd-c@ours.test")
    (row,) = pipeline.settled(message_id)
    mail = pipeline.detail(row["mail_id"])
    assert [event["status"] for event in mail["events"]] == ["received", "forwarded"]
    assert mail["auth"]["spf"]["result"] == "pass" and mail["auth"]["dkim"][0]["domain"] == "good.test"
    assert {"name": "Subject", "value": "look closely"} in mail["headers"]
    (attempt,) = mail["attempts"]
    assert (attempt["host"], attempt["code"], attempt["command"]) == ("mx.partner.test", 250, "DATA")
    assert attempt["text"].startswith("2.0.0 Ok: queued as ")
    received = datetime.fromisoformat(row["received_at"])
    assert abs((received - before).total_seconds()) < 5 and len(row["received_at"]) == len("2026-11-03T12:22:54.120Z")
    assert row["size"] == len(raw) and row["raw_available"]


def test_an_incoming_result_that_claims_our_name_does_not_survive_a_forward(pipeline: Pipeline) -> None:
    raw, message_id = pipeline.mail("fwd-d@ours.test")
    forged = b"Authentication-Results: MX.OURS.TEST (really);\r\n dmarc=pass header.from=bank.test\r\n"
    other = b"Authentication-Results: mx.elsewhere.test; spf=pass\r\n"
    pipeline.send(forged + other + raw, "fwd-d@ours.test")
    pipeline.settled(message_id)
    (arrived,) = pipeline.outside.partner.got(message_id.encode())
    assert b"bank.test" not in arrived.content and arrived.content.endswith(other + raw)


def test_a_forward_that_fails_for_good_is_told_to_its_sender(pipeline: Pipeline) -> None:
    """RFC 5321 section 6.1: who is not told believes that the mail arrived. Nobody is told of a spoof or by a robot of a robot."""
    partner, good = pipeline.outside.partner, pipeline.outside.good
    partner.plan["team@partner.test"] = "550 5.1.1 no such user"
    try:
        raw, message_id = pipeline.mail("fwd-dsn@ours.test", "comes back")
        assert pipeline.send(raw, "fwd-dsn@ours.test")[0] == 250
        robot, robot_id = pipeline.mail("fwd-dsn@ours.test", "from a robot", headers={"Auto-Submitted": "auto-replied"})
        assert pipeline.send(robot, "fwd-dsn@ours.test")[0] == 250
        assert {pipeline.settled(one)[0]["status"] for one in (message_id, robot_id)} == {"delivery_failed"}
        assert wait_for(lambda: good.got(message_id.encode()))
    finally:
        partner.plan.pop("team@partner.test")
    (told,) = good.got(message_id.encode())
    assert told.mail_from in ("", "<>", None) and told.recipients == ["anna@good.test"]
    report = email.message_from_bytes(told.content, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report" and report["Auto-Submitted"] == "auto-replied"
    assert "550 5.1.1 no such user" in str(told.content, "utf-8", "replace")
    assert not good.got(robot_id.encode())

    def row() -> dict[str, object]:
        found: dict[str, object] = pipeline.get("/mails", stream="delivery-report").json()["items"][0]
        return found

    assert wait_for(lambda: row()["status"] == "delivered")
    assert (row()["direction"], row()["recipient"]) == ("outbound", "anna@good.test")
