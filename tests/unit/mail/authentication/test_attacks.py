"""Attacks that must fail: no forged mail earns a DMARC pass, none costs more than it should."""

import time
from collections.abc import Awaitable, Callable

import pytest

from contracts.auth_results import AuthResults
from mail.authentication.sign_dkim import SigningKey
from tests.fakes.signed_mail import MESSAGE, check, rsa_key, sign, zone
from tests.unit.mail.authentication.test_parse_key import der_key

CEO = b"From: ceo@bank.example\r\n"


def bank(**changes: object) -> object:
    return zone(_dmarc__bank__example={"TXT": ["v=DMARC1; p=reject"]}, **changes)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(CEO + sign(), id="second From above"),
        pytest.param(sign().replace(b"\r\nTo:", b"\r\n" + CEO + b"To:"), id="second From below"),
        pytest.param(b"From : ceo@bank.example\r\n" + sign(), id="space before the colon"),
        pytest.param(b"From\t: ceo@bank.example\r\n" + sign(), id="tab before the colon"),
        pytest.param(b"\xef\xbb\xbfFrom: ceo@bank.example\r\n" + sign(), id="BOM"),
        pytest.param(b"\x00From: ceo@bank.example\r\n" + sign(), id="NUL"),
        pytest.param(b"X: 1\rFrom: ceo@bank.example\r\n" + sign(), id="lone CR"),
        pytest.param(b"X: 1\nFrom: ceo@bank.example\r\n" + sign(), id="lone LF"),
        pytest.param(b" From: ceo@bank.example\r\n" + sign(), id="leading fold"),
        pytest.param(b"FROM: ceo@bank.example\r\n" + sign(), id="upper case"),
    ],
)
async def test_no_pass_beside_a_second_from(raw: bytes) -> None:
    found = await check(raw, bank())  # type: ignore[arg-type]
    assert found.dmarc_word != "pass"
    assert found.flags


async def test_second_from_of_a_protected_domain_is_refused_by_its_policy() -> None:
    found = await check(sign(CEO + MESSAGE), bank(_dmarc__example__org={"TXT": ["v=DMARC1; p=none"]}))  # type: ignore[arg-type]
    assert (found.dmarc_word, found.dmarc.policy, found.dmarc.domain) == ("fail", "reject", "bank.example")


@pytest.mark.parametrize("second", [b"ceo@bank.example", b"<ceo@bank.example>", b'"ceo" <ceo@bank.example>'])
async def test_one_from_with_two_domains_is_exempt_and_flagged(second: bytes) -> None:
    raw = sign(MESSAGE.replace(b"Joe <joe@example.org>", b"Joe <joe@example.org>, " + second))
    found = await check(raw, bank())  # type: ignore[arg-type]
    assert found.dmarc_word == "none"
    assert "from_several_domains" in found.flags


async def test_address_hidden_far_behind_the_first_is_no_pass() -> None:
    far = b"Joe <joe@example.org>," + b"\r\n (filler)" * 5000 + b" ceo@bank.example"
    found = await check(sign(MESSAGE.replace(b"Joe <joe@example.org>", far)), bank())  # type: ignore[arg-type]
    assert found.dkim_word == "pass"
    assert found.dmarc_word != "pass"


async def test_address_of_another_domain_as_a_display_name_is_flagged() -> None:
    found = await check(sign(MESSAGE.replace(b"Joe <", b'"ceo@bank.example" <')))
    assert (found.dmarc_word, found.flags) == ("pass", ("display_name_address",))


async def test_appended_body_under_l_is_not_a_pass() -> None:
    raw = sign(tags={"l": "18"}) + b"<h1>Pay here</h1>\r\n"
    found = await check(raw, peer_ip="198.51.100.7")
    assert (found.dkim_word, found.dkim[0].reason, found.dmarc_word) == ("policy", "body_length_partial", "fail")


async def test_signature_without_from_is_permerror() -> None:
    raw = sign(names="to:subject").replace(b"joe@example.org", b"ceo@example.org")
    found = await check(raw, peer_ip="198.51.100.7")
    assert (found.dkim_word, found.dkim[0].reason, found.dmarc_word) == ("permerror", "from_not_signed", "fail")


async def test_only_ten_of_a_hundred_signatures_are_tried() -> None:
    records = zone()
    signature = sign().split(b"\r\n", 1)[0] + b"\r\n"
    junk = b"".join(signature.replace(b"s=s1", b"s=k%d" % index) for index in range(100))
    found = await check(junk + MESSAGE, records)
    assert len(found.dkim) == 10
    assert "too_many_signatures" in found.flags
    assert sum("._domainkey." in name for name, _ in records.asked) == 10


async def _seconds(run: Callable[[], Awaitable[AuthResults]]) -> float:
    """Seconds of computing, which a busy machine does not stretch as it does the clock's."""
    started = time.process_time()
    await run()
    return time.process_time() - started


async def test_key_of_16384_bits_costs_nothing() -> None:
    huge = der_key(modulus=(1 << 16384) - 1, exponent=(1 << 16384) - 3)
    records = zone(s1___domainkey__example__org={"TXT": ["v=DKIM1; p=" + huge]})
    raw = sign()
    await check(raw)  # so that nothing but the key is new
    assert await _seconds(lambda: check(raw, records)) < 0.25
    found = await check(raw, records)
    assert (found.dkim_word, found.dkim[0].reason) == ("policy", "key_too_long")


@pytest.mark.parametrize(
    "grow",
    [
        pytest.param(lambda size: MESSAGE + b" " * size + b"x\r\n", id="spaces in the body"),
        pytest.param(lambda size: MESSAGE + b" \t" * (size // 2), id="white space at the end"),
        pytest.param(lambda size: MESSAGE + b"\r\n" * (size // 2), id="empty lines at the end"),
        pytest.param(lambda size: MESSAGE + b"\r" * size, id="lone CRs"),
        pytest.param(lambda size: b"X: " + b" " * size + b"\r\n" + MESSAGE, id="spaces in a header"),
        pytest.param(lambda size: b"".join(b"X%d: y\r\n" % n for n in range(size // 10)) + MESSAGE, id="fields"),
        pytest.param(lambda size: MESSAGE.replace(b"Joe", b"(" * size), id="parentheses in From"),
        pytest.param(lambda size: MESSAGE.replace(b"Joe", b'"\\' * (size // 2)), id="quotes in From"),
        pytest.param(lambda size: MESSAGE.replace(b"ann@", b"a@b.example, " * (size // 13) + b"ann@"), id="To"),
        pytest.param(lambda size: MESSAGE.replace(b"Joe", b"=?utf-8?q?" + b"=41" * (size // 3)), id="encoded"),
        pytest.param(lambda size: b"DKIM-Signature: " + b"b=" + b" \r\n\t" * (size // 4) + b"\r\n" + MESSAGE, id="b="),
        pytest.param(lambda size: b"DKIM-Signature: " + b"a" * size + b"\r\n" + MESSAGE, id="tags"),
        pytest.param(lambda size: b"DKIM-Signature: h=" + b"x:" * (size // 2) + b"\r\n" + MESSAGE, id="h="),
    ],
)
async def test_ten_times_the_size_takes_no_hundred_times_the_time(grow: Callable[[int], bytes]) -> None:
    small, large = sign(grow(200_000)), sign(grow(2_000_000))
    await check(small)
    once = min([await _seconds(lambda: check(small)) for _ in range(3)])
    tenfold = await _seconds(lambda: check(large))
    assert tenfold < max(40 * once, 0.25)
    assert tenfold < 1.0


async def test_five_megabytes_of_header_are_capped_and_flagged() -> None:
    found = await check(b"X-Fill: " + b"y" * 5_000_000 + b"\r\n" + sign())
    assert "header_cap" in found.flags
    assert found.dmarc_word != "pass"


async def test_hundred_thousand_fields_are_capped_and_flagged() -> None:
    found = await check(sign().replace(b"\r\n\r\n", b"\r\nX: y" * 100_000 + b"\r\n\r\n", 1))
    assert "header_cap" in found.flags


@pytest.mark.parametrize("junk", [b"\x00", b"\x1b[31m", b"\xff\xfe\xfd", "‮".encode(), b"=?x-unknown?b?////?="])
async def test_control_bytes_and_unknown_charsets_raise_nothing(junk: bytes) -> None:
    raw = MESSAGE.replace(b"A  question", junk).replace(b"Joe", junk, 1)
    found = await check(sign(raw))
    assert found.from_domain == "example.org"
    assert found.dkim_word == "pass"


async def test_forged_authentication_results_are_flagged() -> None:
    found = await check(b"Authentication-Results: (c) MX.Example.COM 1;\r\n dmarc=pass\r\n" + sign())
    assert "forged_auth_results" in found.flags


async def test_short_key_is_policy_and_no_dmarc_pass() -> None:
    raw = sign(key=_weak())
    records = zone(s1___domainkey__example__org={"TXT": ["v=DKIM1; p=" + der_key((1 << 767) + 1, 65537)]})
    found = await check(raw, records, peer_ip="198.51.100.7")
    assert (found.dkim_word, found.dkim[0].reason, found.dmarc_word) == ("policy", "key_too_short", "fail")


def _weak() -> SigningKey:
    return rsa_key()


UNREADABLE = [
    "From: <ceo@bank.example\u200f>",
    "From: ceo@bank..example",
    "From: ceo@bank\\.example",
    "From: <=?utf-8?q?ceo=40bank.example?=>",
    "From: =?utf-8?q?ceo=40bank.example?=",
    'From: "ceo@bank.example"',
    "From: ceo@*.bank.example",
    "From: ceo@a!b.bank.example",
    "From: ceo@-ä-.bank.example",
    f"From: ceo@{'a' * 64}.bank.example",
    "From: joe@evil.example, ceo@bank..example",
]


@pytest.mark.parametrize("head", [*(text.encode() for text in UNREADABLE), b"From: ceo@bank.example\xa0"])
async def test_a_domain_that_only_mail_readers_can_read_fails_by_its_policy(head: bytes) -> None:
    _, _, rest = MESSAGE.partition(b"\r\n")
    found = await check(sign(head + b"\r\n" + rest), bank())  # type: ignore[arg-type]
    assert (found.dmarc_word, found.dmarc.policy, found.dmarc.domain) == ("fail", "reject", "bank.example")
    assert "author_unchecked" in found.flags


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"From: joe@evil.example\r\n" * 4 + CEO, id="fifth field"),
        pytest.param(CEO + b"From: a@evil.example, b@evil2.example\r\n", id="a list in a second field"),
        pytest.param(b'From: joe@evil.example, "ceo@bank.example"\r\n', id="quoted, in a list"),
    ],
)
async def test_every_author_of_several_fields_is_looked_at(head: bytes) -> None:
    found = await check(head + b"Subject: x\r\n\r\nx\r\n", bank())  # type: ignore[arg-type]
    assert (found.dmarc_word, found.dmarc.policy, found.dmarc.domain) == ("fail", "reject", "bank.example")


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"X-A: b\r\n" * 2001 + CEO, id="behind 2,001 fields"),
        pytest.param((b"X-A: " + b"b" * 900 + b"\r\n") * 1300 + CEO, id="behind 1.1 MB"),
        pytest.param(b"From: (" + (b"a" * 900 + b"\r\n ") * 37 + b") <ceo@bank.example>\r\n", id="long comment"),
        pytest.param(b'From: "' + (b"a" * 900 + b"\r\n ") * 74 + b'" <ceo@bank.example>\r\n', id="long name"),
        pytest.param(b"".join(b"From: a@e%d.example\r\n" % n for n in range(5)) + CEO, id="many domains"),
        pytest.param(b"From: a@e.example\r\n" * 21 + CEO, id="many fields"),
        pytest.param(b"From: " + b"a@b," * 1001 + b" ceo@bank.example\r\n", id="many addresses"),
    ],
)
async def test_an_author_beyond_what_is_read_is_flagged(head: bytes) -> None:
    found = await check(head + b"Subject: x\r\n\r\nx\r\n", bank())  # type: ignore[arg-type]
    assert found.dmarc_word != "pass" and "author_unchecked" in found.flags


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"From: MAILER-DAEMON\r\n",
        b"From: =?utf-8?q?J=C3=B6?= <joe@example.org>\r\n",
        b"From: joe@example.org, bo@other.example\r\n",
        b"From: Joe <joe@example.org\r\n",
        "From: jö@bücher.example\r\n".encode(),
    ],
)
async def test_an_author_that_can_be_read_or_that_is_none_is_not_called_unchecked(head: bytes) -> None:
    found = await check(head + b"Subject: x\r\n\r\nx\r\n", bank())  # type: ignore[arg-type]
    assert "author_unchecked" not in found.flags
