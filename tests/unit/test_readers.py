"""The pure readers take whatever comes. `make fuzz` looks longer, and for time as well."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.readers import TARGETS

# Pieces that mean something, in any order, with anything between them.
WORDS = [
    b"From: ",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b" ",
    b"=?utf-8?q?",
    b"=?utf-7?b?",
    b"?=",
    b"<a@x.test>",
    b'"',
    b",",
    b";",
    b":",
]
WORDS += [
    b"Content-Type: multipart/mixed; boundary=b",
    b"--b",
    b"--b--",
    b"charset=",
    b"ARC-Seal: i=1; a=rsa-sha256; ",
    b"DKIM-Signature: ",
]
WORDS += [
    b"SRS0=",
    b"v=DMARC1; p=",
    b"status:",
    b"since:2h",
    b"*",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"xn--",
    b"550 5.1.1 ",
]
WORDS += [
    b"From: mailer-daemon@x.test",
    b"Subject: failure notice",
    b"Content-Type: message/delivery-status",
    b"Content-Type: message/feedback-report",
    b"Content-Type: message/rfc822",
    b"Content-Type: text/html",
    b"Final-Recipient: utf-8; \\x{D800}@x.test",
    b"Action: delayed",
    b"Will-Retry-Until: Mon, 31 Feb 99999 25:61:61 +9999",
    b"<a@x.test>: ",
    b"<style",
    b'{"notificationType": [',
    b"------ original message",
]
OCTETS = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=12)), max_size=40).map(b"".join)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=150, deadline=None)
@given(octets=OCTETS)
def test_whatever_comes_is_read(target: str, octets: bytes) -> None:
    TARGETS[target](octets)
