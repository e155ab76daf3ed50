"""`mailscope classify` as a person types it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from contracts.statuses import BounceClass
from mail.bounces.advice import ADVICE
from mailscope import cli

DSN = b"""From: mailer-daemon@mx.x.test
Subject: Undelivered Mail
Content-Type: multipart/report; report-type=delivery-status; boundary=cut

--cut
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.x.test

Final-Recipient: rfc822; anna@x.test
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown\x1b[31m

Final-Recipient: rfc822; bert@x.test
Action: delivered
Status: 2.0.0

--cut
Content-Type: text/rfc822-headers

Message-ID: <1@ours.test>

--cut--
"""


def run(*arguments: str, input: bytes = b"") -> str:
    result = CliRunner().invoke(cli, ["classify", *arguments], input=input)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_reply_is_explained() -> None:
    said = run("--reply", "552 5.2.2 The mailbox is full", "--host", "mx.x.test", "--command", "RCPT")
    for line in (
        "type       soft",
        "class      mailbox_full",
        "codes      552 5.2.2",
        "answer to  RCPT",
        "host       mx.x.test",
    ):
        assert line in said
    assert "rule       text.full (version 2" in said and ADVICE[BounceClass.MAILBOX_FULL] in said


def test_a_report_is_explained_for_each_recipient(tmp_path: Path) -> None:
    file = tmp_path / "bounce.eml"
    file.write_bytes(DSN)
    said = run(str(file))
    assert "report     dsn" in said and "about      1@ours.test" in said
    assert "recipient  anna@x.test" in said and "class      invalid_recipient" in said
    assert "recipient  bert@x.test\naction     delivered" in said and said.count("class ") == 1
    assert "\x1b" not in said, "what a stranger wrote does not reach the terminal as it is"


def test_json_has_all_of_it() -> None:
    report = json.loads(run("-", "--json", input=DSN))
    anna, bert = report["findings"]
    assert (report["kind"], report["reporter"], report["complete"]) == ("dsn", "mx.x.test", True)
    assert (anna["bounce"]["bounce_type"], anna["bounce"]["rule"], bert["bounce"]) == ("hard", "text.user", None)
    reply = json.loads(run("--reply", "550 no such user", "--json"))
    assert reply["bounce_class"] == "invalid_recipient" and reply["advice"]


def test_ordinary_mail_is_no_report() -> None:
    assert run("-", input=b"From: anna@x.test\n\nHello\n").startswith("no report")


@pytest.mark.parametrize(
    "arguments", [[], ["-", "--reply", "550 no"], ["/nowhere"], ["--reply", "550 no", "--command", "X"]]
)
def test_what_cannot_be_run_says_so(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, ["classify", *arguments]).exit_code == 2


def test_every_class_has_its_advice() -> None:
    assert set(ADVICE) == set(BounceClass)
