"""DKIM signatures: one case for each rule of RFC 6376, RFC 8301 and RFC 8463 that a verifier can get wrong."""

import pytest

from contracts.auth_results import AuthResults
from tests.fakes.signed_mail import MESSAGE, NOW, check, ed25519_key, rsa_key, sign, zone


def outcome(found: AuthResults) -> tuple[str, str]:
    return found.dkim[0].result.value, found.dkim[0].reason.value


@pytest.mark.parametrize("canonicalization", ["simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed"])
@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_every_canonicalization_verifies_with_every_key(canonicalization: str, kind: str) -> None:
    raw = sign(tags={"c": canonicalization}, key=rsa_key() if kind == "rsa" else ed25519_key())
    assert outcome(await check(raw)) == ("pass", "")


@pytest.mark.parametrize(
    ("tags", "word", "reason"),
    [
        ({"v": None}, "permerror", "signature_version"),
        ({"v": "2"}, "permerror", "signature_version"),
        ({"d": None}, "permerror", "signature_syntax"),
        ({"d": "org"}, "permerror", "signature_syntax"),
        ({"d": "exa mple.org"}, "permerror", "signature_syntax"),
        ({"d": "Example.ORG"}, "pass", ""),
        ({"s": None}, "permerror", "signature_syntax"),
        ({"s": ""}, "permerror", "signature_syntax"),
        ({"s": "a b"}, "permerror", "signature_syntax"),
        ({"s": "missing"}, "permerror", "key_not_found"),
        ({"h": None}, "permerror", "signature_syntax"),
        ({"h": "FROM : To :Subject"}, "pass", ""),
        ({"h": "from:from:to"}, "pass", ""),
        ({"h": "from:x-absent"}, "pass", ""),
        ({"h": "from::to"}, "permerror", "signature_syntax"),
        ({"h": "to:subject"}, "permerror", "from_not_signed"),
        ({"h": "x-from:to"}, "permerror", "from_not_signed"),
        ({"bh": ""}, "permerror", "signature_syntax"),
        ({"bh": "!!"}, "permerror", "signature_syntax"),
        ({"bh": "AAAA"}, "fail", "body_changed"),
        ({"a": "rsa-sha1"}, "policy", "weak_algorithm"),
        ({"a": "rsa-md5"}, "neutral", "unsupported_algorithm"),
        ({"a": "ed25519-sha256"}, "permerror", "key_mismatch"),
        ({"a": None}, "permerror", "signature_syntax"),
        ({"c": "relaxed"}, "pass", ""),
        ({"c": None}, "pass", ""),
        ({"c": "nowsp/relaxed"}, "neutral", "unsupported_algorithm"),
        ({"q": "dns/txt"}, "pass", ""),
        ({"q": "dns"}, "neutral", "unsupported_algorithm"),
        ({"q": "http:dns/txt"}, "pass", ""),
        ({"i": "@example.org"}, "pass", ""),
        ({"i": "joe@sub.example.org"}, "pass", ""),
        ({"i": "j=6Fe@example.org"}, "pass", ""),
        ({"i": "@EXAMPLE.org"}, "pass", ""),
        ({"i": "@badexample.org"}, "permerror", "identity_mismatch"),
        ({"i": "@example.net"}, "permerror", "identity_mismatch"),
        ({"i": "example.org"}, "permerror", "signature_syntax"),
        ({"t": str(NOW)}, "pass", ""),
        ({"t": "soon"}, "permerror", "signature_syntax"),
        ({"t": str(NOW + 86400)}, "permerror", "signature_future"),
        ({"t": str(NOW - 10), "x": str(NOW + 10)}, "pass", ""),
        ({"x": str(NOW - 1)}, "permerror", "signature_expired"),
        ({"t": str(NOW), "x": str(NOW - 1)}, "permerror", "signature_syntax"),
        ({"x": ""}, "permerror", "signature_syntax"),
        ({"l": "18"}, "policy", "body_length_partial"),
        ({"l": "0"}, "policy", "body_length_partial"),
        ({"l": "9999"}, "permerror", "body_length_too_long"),
        ({"l": ""}, "permerror", "signature_syntax"),
        ({"l": "-1"}, "permerror", "signature_syntax"),
        ({"l": "9" * 80}, "permerror", "signature_syntax"),
        ({"z": "From:joe@example.org|b=x"}, "pass", ""),
        ({"x-new": "1"}, "permerror", "signature_syntax"),
        ({"new": "1"}, "pass", ""),
    ],
)
async def test_tags_are_judged(tags: dict[str, str | None], word: str, reason: str) -> None:
    assert outcome(await check(sign(tags=tags))) == (word, reason)


async def test_l_that_covers_the_whole_body_passes() -> None:
    assert outcome(await check(sign(tags={"l": "19"}))) == ("pass", "")


@pytest.mark.parametrize(
    ("record", "word", "reason"),
    [
        ("{key}", "pass", ""),
        ("{key}; t=y", "pass", ""),
        ("{key}; t=s", "pass", ""),
        ("{key}; h=sha256", "pass", ""),
        ("{key}; h=sha1", "permerror", "key_mismatch"),
        ("{key}; h=sha1:sha256", "pass", ""),
        ("{key}; s=*", "pass", ""),
        ("{key}; s=email:other", "pass", ""),
        ("{key}; s=tlsrpt", "permerror", "key_mismatch"),
        ("{key}; g=*; n=a note", "pass", ""),
        ("v=DKIM1; p=", "permerror", "key_revoked"),
        ("v=DKIM1; p=AAAA", "permerror", "key_syntax"),
        ("v=spf1 -all", "permerror", "key_syntax"),
    ],
)
async def test_key_records_are_judged(record: str, word: str, reason: str) -> None:
    text = record.replace("{key}", rsa_key().key_record())
    records = zone(s1___domainkey__example__org={"TXT": [text]})
    assert outcome(await check(sign(), records)) == (word, reason)


async def test_strict_key_wants_i_to_name_d_itself() -> None:
    records = zone(s1___domainkey__example__org={"TXT": [rsa_key().key_record() + "; t=s"]})
    found = await check(sign(tags={"i": "@sub.example.org"}), records)
    assert outcome(found) == ("permerror", "identity_mismatch")


async def test_failure_under_a_key_in_test_mode_is_neutral() -> None:
    records = zone(s1___domainkey__example__org={"TXT": [rsa_key().key_record() + "; t=y"]})
    found = await check(sign().replace(b"Hello", b"Hallo"), records)
    assert (found.dkim_word, found.dkim[0].testing) == ("neutral", True)


async def test_of_several_records_at_the_selector_the_fitting_one_counts() -> None:
    texts = ["unrelated text", ed25519_key().key_record(), rsa_key().key_record()]
    assert outcome(await check(sign(), zone(s1___domainkey__example__org={"TXT": texts}))) == ("pass", "")


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
async def test_key_that_cannot_be_fetched_is_temperror_for_dmarc_too(failure: str) -> None:
    found = await check(sign(), zone(s1___domainkey__example__org={"TXT": failure}), peer_ip="198.51.100.7")
    assert (found.dkim_word, found.dkim[0].reason, found.dmarc_word) == ("temperror", "dns_temperror", "temperror")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ((b"Hello", b"Hallo"), "body_changed"),
        ((b"A  question", b"An answer"), "signature_invalid"),
        ((b"b=", b"b=AAAA"), "signature_invalid"),
    ],
)
async def test_changed_mail_fails(change: tuple[bytes, bytes], reason: str) -> None:
    found = await check(sign().replace(*change, 1) if change[0] != b"b=" else sign().replace(b" b=", b" b=AAAA", 1))
    assert outcome(found) == ("fail", reason)


async def test_changes_that_relaxed_allows_pass() -> None:
    raw = sign().replace(b"Subject: A  question\r\n about", b"SUBJECT:\tA question about").replace(b"Ann,\t", b"Ann,")
    assert outcome(await check(raw)) == ("pass", "")


async def test_repeated_fields_are_taken_from_the_bottom() -> None:
    message = b"Received: two\r\nReceived: one\r\n" + MESSAGE
    raw = sign(message, names="from:received")
    assert outcome(await check(raw)) == ("pass", "")
    assert outcome(await check(b"Received: three\r\n" + raw)) == ("pass", "")
    assert outcome(await check(raw.replace(b"one", b"ten"))) == ("fail", "signature_invalid")


async def test_header_that_is_signed_as_absent_must_stay_absent() -> None:
    raw = sign(names="from:reply-to")
    assert outcome(await check(raw)) == ("pass", "")
    assert outcome(await check(b"Reply-To: x@evil.example\r\n" + raw)) == ("fail", "signature_invalid")


async def test_each_signature_has_its_own_result_and_the_best_is_the_word() -> None:
    found = await check(sign(sign(key=ed25519_key()), tags={"s": "missing"}))
    assert [one.result for one in found.dkim] == ["permerror", "pass"]
    assert found.dkim_word == "pass"


async def test_signature_may_sign_the_signatures_below_it() -> None:
    raw = sign(sign(key=ed25519_key()), names="from:dkim-signature")
    assert [one.result for one in (await check(raw)).dkim] == ["pass", "pass"]


@pytest.mark.parametrize("folded", [b"b=\r\n\t", b"b =", b"\r\n b\t=\r\n "])
async def test_white_space_around_b_is_no_part_of_it(folded: bytes) -> None:
    raw = sign(tags={"c": "relaxed/relaxed"})
    assert outcome(await check(raw.replace(b"b=", folded, 1) if folded == b"b=\r\n\t" else raw)) == ("pass", "")


@pytest.mark.parametrize("value", [b"", b";", b"v=1;;a=x", b"=", b"v=1; v=1", b"\xff\xfe", b"v", b"1a=b", b"v=1 a=b"])
async def test_broken_signature_fields_are_permerror(value: bytes) -> None:
    assert (await check(b"DKIM-Signature: " + value + b"\r\n" + MESSAGE)).dkim_word == "permerror"


async def test_mail_with_bare_line_feeds_is_judged_as_if_they_were_crlf() -> None:
    found = await check(sign().replace(b"\r\n", b"\n"))
    assert outcome(found) == ("pass", "")
    assert "bare_lf" in found.flags


async def test_internationalized_domain_is_looked_up_as_a_label() -> None:
    records = zone(**{"s1___domainkey__xn--bcher-kva__example": {"TXT": [rsa_key().key_record()]}})
    found = await check(sign(tags={"d": "bücher.example"}), records)
    assert (found.dkim[0].domain, found.dkim_word) == ("xn--bcher-kva.example", "pass")
