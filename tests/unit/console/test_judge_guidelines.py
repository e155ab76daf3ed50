"""What large receivers ask of a mail of ours."""

from typing import Any

import pytest

from console.judge_guidelines import judge_guidelines

SIGNED = "v=1; a=rsa-sha256; d=news.ours.test; s=s1; h=From:To:List-Unsubscribe:List-Unsubscribe-Post; bh=x; b=y"


def mail(headers: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    recipient = {"envelope_from": changes.pop("envelope_from", "desk@ours.test"), "stream": changes.pop("stream", None)}
    named = {"DKIM-Signature": SIGNED, "From": "desk@ours.test"} if headers is None else headers
    return {
        "direction": "outbound",
        "from": "desk@ours.test",
        "headers": [{"name": name, "value": value} for name, value in named.items()],
        "recipients": [recipient],
        "attempts": [],
        **changes,
    }


def met(one: dict[str, Any], name: str, offering: tuple[str, ...] = ()) -> bool | None:
    return {found.name: found.met for found in judge_guidelines(one, offering)}[name]


def test_nothing_is_said_of_mail_that_is_not_ours_or_whose_headers_are_not_known() -> None:
    assert judge_guidelines(mail(direction="inbound"), ()) == []
    assert judge_guidelines(mail({}), ()) == []


@pytest.mark.parametrize(
    ("domain", "aligned"),
    [("ours.test", True), ("news.ours.test", True), ("test", True), ("notours.test", False), ("", False)],
)
def test_alignment(domain: str, aligned: bool) -> None:
    headers = {"DKIM-Signature": f"v=1; a=rsa-sha256; d={domain}; s=s1; h=from; bh=x; b=y"}
    assert met(mail(headers), "dkim_aligned") is aligned
    assert met(mail(envelope_from=f"bounce@{domain}" if domain else "x@other.test"), "spf_aligned") is aligned


def test_without_a_signature_or_with_a_broken_one_dkim_is_not_met() -> None:
    for headers in ({"From": "desk@ours.test"}, {"DKIM-Signature": "nonsense"}):
        assert met(mail(headers), "dkim_aligned") is False


def test_of_the_null_sender_spf_says_nothing() -> None:
    assert met(mail(envelope_from=""), "spf_aligned") is None


def test_tls_is_that_of_every_server_that_took_it() -> None:
    attempt = {"outcome": "accepted", "tls": "TLSv1.3", "host": "mx", "ip": ""}
    assert met(mail(), "tls") is None
    assert met(mail(attempts=[{**attempt, "outcome": "temporary", "tls": ""}, attempt]), "tls") is True
    assert met(mail(attempts=[attempt, {**attempt, "tls": ""}]), "tls") is False


OFFER = {"List-Unsubscribe": "<https://ours.test/u/x>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


@pytest.mark.parametrize(
    ("headers", "stream", "answer"),
    [
        ({}, None, None),
        ({}, "news", True),
        (OFFER, None, True),
        ({**OFFER, "List-Unsubscribe-Post": "no"}, None, False),
        ({**OFFER, "List-Unsubscribe": "<mailto:x@ours.test>"}, None, False),
        ({**OFFER, "DKIM-Signature": SIGNED.replace(":List-Unsubscribe-Post", "")}, None, False),
        ({**OFFER, "DKIM-Signature": SIGNED.replace("news.ours.test", "elsewhere.test")}, None, False),
    ],
)
def test_a_one_click_unsubscription_has_to_be_covered(
    headers: dict[str, str], stream: str | None, answer: bool | None
) -> None:
    assert met(mail({"DKIM-Signature": SIGNED, **headers}, stream=stream), "one_click", ("news",)) is answer
