"""Reports that mean harm: each is read in under a second, without an exception, and what is kept is bounded."""

import time

import pytest

from mail.bounces.classify_finding import classify_finding
from mail.reports.read_report import read_report
from mail.reports.report import MAX_RECIPIENTS, MAX_SAID, Report

HEAD = b"From: MAILER-DAEMON@x.test\r\nTo: a@ours.test\r\nSubject: failure notice\r\nAuto-Submitted: auto-replied\r\n"
REPORT = HEAD + b"Content-Type: multipart/report; report-type=delivery-status; boundary=cut\r\n\r\n--cut\r\n"
STATUS = REPORT + b"Content-Type: message/delivery-status\r\n\r\n"


def nested(depth: int) -> bytes:
    """Containers within containers."""
    opened = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (at, at) for at in range(depth))
    return HEAD + opened + b"Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; a@x.test\r\n"


def reports_in_reports(depth: int) -> bytes:
    """A report that gives back a report, and so on."""
    words = b"Your message could not be delivered.\r\n\r\n-- returned message --\r\nReturn-Path: <>\r\n"
    return (HEAD + b"\r\n" + words) * depth


def statuses(count: int) -> bytes:
    return STATUS + b"".join(
        b"\r\nFinal-Recipient: rfc822; a%d@x.test\r\nAction: failed\r\nStatus: 5.1.1\r\n" % at for at in range(count)
    )


ATTACKS = {
    "3,000 containers": nested(3_000),
    "20,000 containers": nested(20_000),
    "10,000 parts": REPORT + b"\r\n\r\nx\r\n--cut\r\n" * 10_000,
    "reports in reports": reports_in_reports(500),
    "20,000 recipients": statuses(20_000),
    "20,000 addresses": HEAD + b"\r\n" + b"".join(b"<a%d@x.test>:\r\n550 no such user\r\n" % at for at in range(20_000)),
    "one address 100,000 times": HEAD + b"\r\n" + b"<a@x.test>:\r\n550 no such user\r\n" * 100_000,
    "an address of 1 MB": HEAD + b"\r\n<" + b"a" * 1_000_000 + b"@x.test>: 550 no\r\n",
    "3 MB on one line": HEAD + b"\r\n<a@x.test>: 550 " + b"x" * 3_000_000,
    "3 MB of at signs": HEAD + b"\r\n<a@x.test>: 550 " + b"@" * 3_000_000,
    "3 MB of dashes": HEAD + b"\r\n<a@x.test>: 550 " + b"-" * 3_000_000,
    "3 MB of spaces": HEAD + b"\r\n<a@x.test>: 550 " + b" " * 3_000_000,
    "3 MB of empty lines": HEAD + b"\r\n<a@x.test>: 550 " + b"\r\n" * 1_500_000,
    "3 MB of codes": HEAD + b"\r\n<a@x.test>: " + b"550-5.1.1 " * 300_000,
    "20 MB": HEAD + b"\r\n<a@x.test>: 550 no such user\r\n" + b"text that says nothing\r\n" * 900_000,
    "a field of 3 MB": STATUS + b"Final-Recipient: rfc822; a@x.test\r\nDiagnostic-Code: smtp; 550 " + b"x" * 3_000_000,
    "a field of 300,000 lines": STATUS + b"Final-Recipient: rfc822; a@x.test\r\nDiagnostic-Code: smtp; 550" + b"\r\n x" * 300_000,
    "300,000 fields": STATUS + b"Final-Recipient: rfc822; a@x.test\r\n" + b"X-A: b\r\n" * 300_000,
    "dates": STATUS
    + b"".join(
        b"\r\nFinal-Recipient: rfc822; a%d@x.test\r\nWill-Retry-Until: %s\r\n" % (at, date)
        for at, date in enumerate(
            (b"Mon, 31 Feb 2026 25:61:61 +9999", b"1 Jan 99999999999 00:00:00 +0000", b"(" * 1000, b"0 0 0 0", b"\xff\x00")
        )
    ),
    "NULs": STATUS + b"\x00Final-Recipient\x00: rfc822; a\x00@x.test\r\nAct\x00ion: failed\r\n",
    "surrogates": STATUS + b"Final-Recipient: utf-8; a\\x{D800}\\x{110000}\\x{0A}b@x.test\r\n",
    "tags": HEAD + b"Content-Type: text/html\r\n\r\n" + b"<style><a <" * 300_000,
    "open tag": HEAD + b"Content-Type: text/html\r\n\r\n<" + b"a" * 3_000_000,
    "entities": HEAD + b"Content-Type: text/html\r\n\r\n" + b"&lt;a@x.test&gt;&amp" * 150_000,
    "JSON": HEAD + b'\r\n{"notificationType": ' + b"[" * 500_000,
    "deep JSON": HEAD + b'\r\n{"notificationType": "Bounce", "x": ' + b'{"x":' * 100_000,
    "base64": HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"QUFB" * 800_000,
    "80,000 headers": b"X-A: b\r\n" * 80_000 + HEAD + b"\r\n<a@x.test>: 550 no such user\r\n",
    "16,000 of X-Failed-Recipients": HEAD + b"X-Failed-Recipients: " + b"a@x.test, " * 16_000 + b"\r\n\r\nIt failed.\r\n",
    "nothing": b"",
}  # fmt: skip


def read(raw: bytes) -> Report:
    report = read_report(raw)
    for finding in report.findings:
        classify_finding(report.kind, finding)
    return report


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_read_in_time_and_bounded(attack: str) -> None:
    begun = time.process_time()
    report = read(ATTACKS[attack])
    assert time.process_time() - begun < 1
    assert len(report.findings) <= MAX_RECIPIENTS
    assert all(len(one.reply.text) <= MAX_SAID and len(one.recipient) <= 1000 for one in report.findings)
    assert len(repr(report)) < 10_000_000
    repr(report).encode()


def test_what_was_cut_is_said() -> None:
    for attack in ("3,000 containers", "20,000 recipients", "20 MB", "300,000 fields"):
        assert not read(ATTACKS[attack]).complete, attack


def test_controls_do_not_hide_a_recipient_and_dates_that_are_none_are_left_out() -> None:
    assert [one.recipient for one in read(ATTACKS["NULs"]).findings] == ["a@x.test"]
    assert [one.retry_until for one in read(ATTACKS["dates"]).findings] == [None] * 5
