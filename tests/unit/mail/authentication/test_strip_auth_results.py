"""Incoming Authentication-Results that claim to be ours: taken out, and nothing else touched."""

import pytest

from mail.authentication.strip_auth_results import strip_auth_results
from tests.fakes.signed_mail import check, sign

OURS = "mx.example.com"


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mx.example.com; dmarc=pass\r\n",
        b"AUTHENTICATION-RESULTS: MX.EXAMPLE.COM; dmarc=pass\r\n",
        b"authentication-results:mx.example.com;dmarc=pass\r\n",
        b"Authentication-Results : mx.example.com; dmarc=pass\r\n",
        b"Authentication-Results:\r\n mx.example.com;\r\n\tdmarc=pass\r\n",
        b"Authentication-Results: (a (nested) comment) mx.example.com (another); dmarc=pass\r\n",
        b'Authentication-Results: "mx.example.com"; dmarc=pass\r\n',
        b'Authentication-Results: "mx\\.example.com"; dmarc=pass\r\n',
        b"Authentication-Results: mx.example.com 1; dmarc=pass\r\n",
        b"Authentication-Results: mx.example.com.; dmarc=pass\r\n",
        b"Authentication-Results: mx.example.com\r\n",
        b"Authentication-Results: (" + b"long " * 20_000 + b") mx.example.com; dmarc=pass\r\n",
    ],
)
def test_every_spelling_of_ours_is_removed(field: bytes) -> None:
    signed = sign()
    assert strip_auth_results(field + signed, OURS) == signed
    assert strip_auth_results(b"X: 1\r\n" + field + signed, OURS) == b"X: 1\r\n" + signed
    assert strip_auth_results((field + signed).replace(b"\r\n", b"\n"), OURS) == signed.replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mx.example.org; dmarc=pass\r\n",
        b"Authentication-Results: (mx.example.com) other.example; dmarc=pass\r\n",
        b"Authentication-Results: mx.example.com.evil.example; dmarc=pass\r\n",
        b"X-Authentication-Results: mx.example.com; dmarc=pass\r\n",
        b"ARC-Authentication-Results: i=1; mx.example.com; dmarc=pass\r\n",
        b"Subject: Authentication-Results: mx.example.com; dmarc=pass\r\n",
        b"Subject: a\r\n Authentication-Results: mx.example.com; dmarc=pass\r\n",
    ],
)
def test_everything_else_stays(field: bytes) -> None:
    raw = field + sign() + b"Authentication-Results: mx.example.com; in the body\r\n"
    assert strip_auth_results(raw, OURS) == raw


async def test_signature_verifies_after_it() -> None:
    raw = b"Authentication-Results: mx.example.com; dmarc=fail\r\n" + sign()
    assert (await check(strip_auth_results(raw, OURS))).dkim_word == "pass"


def test_hostile_values_cost_nothing() -> None:
    for value in (b"(" * 500_000, b'"' * 500_001, b"\\" * 500_000, b'"\\' * 250_000):
        raw = b"Authentication-Results: " + value + b"\r\n\r\n"
        assert strip_auth_results(raw, OURS) == raw
