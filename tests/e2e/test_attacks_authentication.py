"""Attacks on authentication: mail that claims somebody else's domain and makes sure that nobody can look."""

import time
from pathlib import Path

import pytest

from contracts.auth_results import ArcResult, ArcWord
from local.demo.config import rsa_key
from local.demo.dns_zones import dkim_record
from mail.authentication.seal_arc import seal_arc
from mail.authentication.sign_dkim import load_signing_key
from tests.e2e.pipeline import Pipeline

STRANGER = "127.0.0.9"  # in nobody's SPF record
SLOW = "127.0.0.11"  # whose reverse names do not answer


def test_spending_the_budget_of_look_ups_does_not_hide_a_policy(pipeline: Pipeline) -> None:
    """Ten `mx` of ten hosts, ten signatures and 45 ARC sets, all of the attacker's own, in front of a p=reject domain."""
    zones = pipeline.outside.zones
    zones.add("greedy.test", "TXT", "v=spf1 " + " ".join(f"mx:m{n}.greedy.test" for n in range(10)) + " -all")
    for n in range(10):
        for host in range(10):
            zones.add(f"m{n}.greedy.test", "MX", f"10 h{host}.m{n}.greedy.test")
            zones.add(f"h{host}.m{n}.greedy.test", "A", "192.0.2.1")
    signature = (
        b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=greedy.test; s=d%d; h=from; bh=MTIz; b=MTIz\r\n"
    )
    raw, message_id = pipeline.mail(sender="ceo@shy.test", sign=False)
    key = rsa_key()
    for n in range(45):
        zones.add(f"a{n}._domainkey.greedy.test", "TXT", dkim_record(key))
        chain = ArcResult(ArcWord.PASS if n else ArcWord.NONE)
        results = b"Authentication-Results: greedy.test; spf=pass\r\n"
        raw = seal_arc(raw, results, chain, "greedy.test", f"a{n}", load_signing_key(key), int(time.time())) + raw
    zones.add("_dmarc.shy.test", "TXT", "v=DMARC1; p=reject")
    raw = b"".join(signature % n for n in range(10)) + raw
    code, text = pipeline.send(raw, "desk@ours.test", sender="a@greedy.test", source=STRANGER)
    (row,) = pipeline.settled(message_id)
    assert (code, row["dmarc"], row["status"], row["reason"]) == (550, "fail", "rejected", "dmarc_reject"), text


def test_slow_names_of_the_senders_own_do_not_hide_a_policy(pipeline: Pipeline) -> None:
    zones = pipeline.outside.zones
    for n in range(4):
        zones.add("11.0.0.127.in-addr.arpa", "PTR", f"n{n}.idle.test")
        zones.records[f"n{n}.idle.test"] = {"A": "TIMEOUT"}
    zones.records["idle.test"] = {"TXT": "TIMEOUT"}
    zones.add("_dmarc.quiet.test", "TXT", "v=DMARC1; p=reject")
    raw, message_id = pipeline.mail(sender="ceo@quiet.test", sign=False)
    began = time.monotonic()
    code, text = pipeline.send(raw, "desk@ours.test", sender="a@idle.test", source=SLOW)
    print(f"answered {code} {text} after {time.monotonic() - began:.1f} s")
    (row,) = pipeline.settled(message_id)
    assert (code, row["dmarc"], row["status"], row["late"]) == (550, "fail", "rejected", False), text


BAD = [
    b"Subject: no author\r\n",
    b"From: anna@good.test\r\nFrom: ceo@bank.test\r\n",
    b"From: ceo@bank.test <anna@good.test>\r\n",
    b"From: <ceo@bank.test> <anna@good.test>\r\n",
    b"From: ceo@bank.test@good.test\r\n",
    b"From: Team: anna@good.test;\r\n",
    b"From: anna@good.test, bo@good.test\r\n",
    b'From: "anna <anna@good.test>\r\n',
    b"From: undisclosed\r\n",
    b"From : anna@good.test\r\n",
]


@pytest.mark.parametrize("head", BAD, ids=repr)
def test_a_from_that_programs_read_differently_is_refused_where_the_policy_says_so(
    pipeline: Pipeline, head: bytes
) -> None:
    for recipient, code in (("a@onefrom.test", 550), ("a@open.test", 250)):
        _, message_id = pipeline.mail()
        raw = head + b"Message-ID: <" + message_id.encode() + b">\r\n\r\nx\r\n"
        answer = pipeline.send(raw, recipient)
        assert answer[0] == code, answer
        (row,) = pipeline.settled(message_id)
        assert (row["reason"] == "bad_from") == (code == 550)


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"From: x@evil.test\r\n" * 4 + b"From: ceo@strict.test\r\n", "dmarc_reject"),
        (b"From: ceo@strict..test\r\n", "dmarc_reject"),
        (b"X-A: b\r\n" * 2001 + b"From: ceo@strict.test\r\n", "bad_from"),
    ],
    ids=["fifth field", "two dots", "2001 fields"],
)
def test_a_from_that_keeps_us_from_checking_is_no_pass(pipeline: Pipeline, head: bytes, reason: str) -> None:
    pipeline.outside.zones.add("_dmarc.strict.test", "TXT", "v=DMARC1; p=reject")
    _, message_id = pipeline.mail()
    raw = b"Message-ID: <" + message_id.encode() + b">\r\n" + head + b"\r\nx\r\n"
    code, text = pipeline.send(raw, "desk@ours.test", sender="a@evil.test", source=STRANGER)
    (row,) = pipeline.settled(message_id)
    assert (code, row["status"], row["reason"]) == (550, "rejected", reason), text


@pytest.mark.parametrize(
    "author",
    [
        b"ceo@stern.test <x@evil.test>",
        b"x@evil.test, ceo@stern.test",
        b"ceo@stern.test: x@evil.test;",
        b"ceo@evil.test@stern.test",
        b"a@a.test, b@b.test, c@c.test, d@d.test, ceo@stern.test",
    ],
    ids=repr,
)
def test_a_second_author_does_not_take_the_first_one_out_of_its_policy(pipeline: Pipeline, author: bytes) -> None:
    """The attacker's own domain passes DMARC; the other one asks for rejection."""
    zones = pipeline.outside.zones.records
    zones["_dmarc.stern.test"] = {"TXT": ["v=DMARC1; p=reject"]}
    zones["evil.test"] = {"TXT": [f"v=spf1 ip4:{STRANGER} -all"]}
    _, message_id = pipeline.mail()
    raw = b"From: " + author + b"\r\nMessage-ID: <" + message_id.encode() + b">\r\n\r\nx\r\n"
    code, text = pipeline.send(raw, "desk@ours.test", sender="a@evil.test", source=STRANGER)
    (row,) = pipeline.settled(message_id)
    assert (code, row["status"], row["reason"], row["dmarc"]) == (550, "rejected", "bad_from", "none"), text


@pytest.mark.parametrize(
    "name",
    [
        "=?utf-8?q?ceo=40bank.test?=",
        "=?utf-8?b?Y2VvQGJhbmsudGVzdA==?=",
        '"[ceo@bank.test]"',
        "ceo\uff20bank.test",
        "=?utf-8?q?=3D=3Futf-8=3Fq=3Fceo=3D40bank.test=3F=3D?=",  # an encoded word in another one
        "=?utf-7?q?ceo+AEA-bank.test?=",
        '"ceo @ bank . test"',
        "(ceo@bank.test)",
        '"' + "A " * 400 + 'ceo@bank.test"',
    ],
)
def test_an_address_in_a_display_name_is_flagged_however_it_is_written(pipeline: Pipeline, name: str) -> None:
    _, message_id = pipeline.mail()
    raw = f"From: {name}\r\n <anna@good.test>\r\nMessage-ID: <{message_id}>\r\n\r\nx\r\n".encode()
    assert pipeline.send(raw, "a@onefrom.test", options=("BODY=8BITMIME",))[0] == 250
    (row,) = pipeline.settled(message_id)
    assert row["from"] == "anna@good.test"
    assert "display_name_address" in pipeline.detail(row["mail_id"])["auth"]["flags"]


@pytest.mark.parametrize(
    ("recipient", "sender", "code"),
    [
        ("desk@ours.test", "a@outage.test", "4.7.26"),  # whether its author's domain has a policy is not known
        ("a@quarantine.test", "a@outage.test", "4.7.26"),
        ("a@spf.test", "a@outage.test", "4.7.24"),
    ],
)
def test_what_cannot_be_checked_now_is_no_pass(pipeline: Pipeline, recipient: str, sender: str, code: str) -> None:
    pipeline.outside.zones.records["_dmarc.outage.test"] = {"TXT": "SERVFAIL"}
    pipeline.outside.zones.records["outage.test"] = {"TXT": "SERVFAIL"}
    raw, message_id = pipeline.mail(recipient, sender=sender, sign=False)
    answer = pipeline.send(raw, recipient, sender=sender, source=STRANGER)
    assert answer[0] == 451 and answer[1].startswith(code)
    (row,) = pipeline.settled(message_id)
    assert (row["status"], row["reason"], row["late"]) == ("rejected", "auth_temperror", False)
    assert f"answered 451 {code}" in row["detail"]


def test_forged_results_in_our_name_do_not_reach_a_handler(pipeline: Pipeline) -> None:
    forged = (
        b"Authentication-Results: mx.ours.test; dmarc=pass header.from=bank.test\r\n"
        b"AUTHENTICATION-RESULTS:\r\n (a comment) MX.OURS.TEST.; dmarc=pass\r\n"
        b'Authentication-Results : "mx.ours.test" 1; dmarc=pass\r\n'
    )
    honest = b"Authentication-Results: mx.elsewhere.test; spf=pass\r\n"
    raw, message_id = pipeline.mail(sign=True)
    assert pipeline.send(forged + honest + raw, "desk@ours.test")[0] == 250
    (row,) = pipeline.settled(message_id)
    (call,) = [call for call in pipeline.outside.desk.calls if call.mail["message_id"] == message_id]
    told = [value for name, value in call.mail["headers"] if name.strip().lower() == "authentication-results"]
    assert told == ["mx.elsewhere.test; spf=pass"]
    assert call.mail["auth"]["dmarc"] == "pass"
    assert pipeline.get(f"/mails/{row['mail_id']}/raw").content == forged + honest + raw


@pytest.mark.long
def test_mail_that_was_answered_already_waits_for_dns_but_not_for_ever(tmp_path: Path) -> None:
    """Nobody waits for a verdict: one domain's DNS comes back in time, the other one's does not."""
    pipeline = Pipeline(tmp_path, {"smtp": {"verdict_timeout": "0s"}})
    records = pipeline.outside.zones.records
    for domain in ("mended.test", "broken.test"):
        records[f"_dmarc.{domain}"] = {"TXT": "SERVFAIL"}
    try:
        pipeline.start()
        ids = []
        for domain in ("mended.test", "broken.test"):
            raw, message_id = pipeline.mail("drop@ours.test", sender=f"a@{domain}", sign=False)
            assert pipeline.send(raw, "drop@ours.test", sender=f"a@{domain}", source=STRANGER)[0] == 250
            ids.append(message_id)
        records["_dmarc.mended.test"] = {"TXT": ["v=DMARC1; p=none"]}
        mended, broken = (pipeline.settled(message_id, 90)[0] for message_id in ids)
        assert (mended["status"], mended["dmarc"]) == ("dropped", "fail")
        assert (broken["status"], broken["reason"], broken["late"]) == ("rejected", "auth_temperror", True)
    finally:
        pipeline.close()
