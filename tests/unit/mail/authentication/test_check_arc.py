"""ARC chains: sealed by us, then broken in every way that RFC 8617 names."""

import re

import dkim
import pytest

from contracts.auth_results import ArcResult, ArcWord, AuthResults
from mail.authentication.check_arc import MAX_KEYS
from mail.authentication.seal_arc import seal_arc
from mail.authentication.write_headers import write_auth_results
from tests.fakes.signed_mail import MESSAGE, NOW, check, ed25519_key, rsa_key, sign, zone


async def seal(raw: bytes, *, ed25519: bool = False) -> bytes:
    found = await check(raw)
    key, selector = (ed25519_key(), "ed") if ed25519 else (rsa_key(), "s1")
    written = write_auth_results(found, "mx.example.com")
    return seal_arc(raw, written, found.arc, "example.org", selector, key, NOW) + raw


async def arc(raw: bytes, **names: object) -> AuthResults:
    return await check(raw, zone(**names))


async def test_chain_of_three_passes_and_names_its_sealers() -> None:
    found = await arc(await seal(await seal(await seal(sign()), ed25519=True)))
    assert (found.arc_word, found.arc.instances, found.arc.oldest_pass) == ("pass", 3, 0)
    assert found.arc.sealers == ("example.org",) * 3
    assert "dmarc=pass" in found.arc.authentication_results


async def test_dkimpy_accepts_our_seals() -> None:
    raw = await seal(await seal(sign()))
    keys = zone().records

    def look_up(name: bytes, timeout: float = 5) -> bytes:
        return str(keys[name.decode().rstrip(".")]["TXT"][0]).encode()

    assert dkim.arc_verify(raw, dnsfunc=look_up)[0] == b"pass"


async def test_body_changed_before_the_last_hop_shows_in_oldest_pass() -> None:
    changed = (await seal(sign())) + b"-- \r\nlist footer\r\n"
    found = await arc(await _seal_anyway(changed))
    assert (found.arc_word, found.arc.oldest_pass, found.dmarc.dkim_alignment) == ("pass", 2, "none")


async def _seal_anyway(raw: bytes) -> bytes:
    """A forwarder that changed the body itself states the chain as it found it: pass."""
    found = await check(raw)
    written = write_auth_results(found, "mx.example.com")
    return seal_arc(raw, written, ArcResult(ArcWord.PASS), "example.org", "s1", rsa_key(), NOW) + raw


async def test_a_chain_of_more_keys_than_anybody_needs_costs_no_look_up() -> None:
    raw = sign()
    for n in range(MAX_KEYS + 1):
        chain = ArcResult(ArcWord.PASS if n else ArcWord.NONE)
        raw = seal_arc(raw, b"A-R: example.org; spf=pass", chain, "example.org", f"a{n}", rsa_key(), NOW) + raw
    names = zone()
    found = await check(raw, names)
    assert (found.arc_word, found.arc.reason) == ("fail", "arc_structure")
    assert not [name for name, _ in names.asked if name.startswith("a") and "_domainkey" in name]


def cut_field(raw: bytes, name: bytes) -> bytes:
    return re.sub(rb"(?m)^" + name + rb":.*\r\n(?:[ \t].*\r\n)*", b"", raw, count=1)


@pytest.mark.parametrize("name", [b"ARC-Seal", b"ARC-Message-Signature", b"ARC-Authentication-Results"])
async def test_incomplete_set_fails(name: bytes) -> None:
    found = await arc(cut_field(await seal(sign()), name))
    assert (found.arc_word, found.arc.reason) == ("fail", "arc_structure")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"cv=none", b"cv=pass", "arc_structure"),
        (b"cv=none", b"cv=fail", "arc_cv_fail"),
        (b"cv=none", b"cv=maybe", "arc_structure"),
        (b"cv=none; ", b"", "arc_structure"),
        (b"cv=none", b"cv=none; h=from", "arc_structure"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=2", "arc_structure"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=0", "arc_structure"),
        (b"ARC-Seal: i=1", b"ARC-Seal: i=51", "arc_structure"),
        (b"ARC-Seal: i=1; ", b"ARC-Seal: ", "arc_structure"),
        (b"ARC-Seal: i=1; a=rsa-sha256", b"ARC-Seal: i=1; a=rsa-sha1", "arc_seal_invalid"),
        (b"spf=pass", b"spf=fail", "arc_seal_invalid"),
        (b"Hello", b"Hallo", "arc_message_invalid"),
        (b"Subject: A", b"Subject: B", "arc_message_invalid"),
        (b"ARC-Message-Signature: i=1", b"ARC-Message-Signature: v=1; i=1", "arc_message_invalid"),
    ],
)
async def test_changed_chain_fails(old: bytes, new: bytes, reason: str) -> None:
    raw = await seal(sign())
    assert old in raw
    found = await arc(raw.replace(old, new, 1))
    assert (found.arc_word, found.arc.reason) == ("fail", reason)
    assert found.arc.cause and found.arc.cure


async def test_double_field_fails() -> None:
    raw = await seal(sign())
    field = re.match(rb"ARC-Seal:.*\r\n(?:[ \t].*\r\n)*", raw)
    assert field is not None
    assert (await arc(field[0] + raw)).arc.reason == "arc_structure"


async def test_missing_first_set_fails() -> None:
    raw = await seal(await seal(sign()))
    for name in (b"ARC-Seal: i=1", b"ARC-Message-Signature: i=1", b"ARC-Authentication-Results: i=1"):
        raw = re.sub(rb"(?m)^" + name + rb";.*\r\n(?:[ \t].*\r\n)*", b"", raw)
    assert (await arc(raw)).arc.reason == "arc_structure"


async def test_key_that_cannot_be_fetched_is_temperror() -> None:
    found = await arc(await seal(sign()), s1___domainkey__example__org={"TXT": "SERVFAIL"})
    assert (found.arc_word, found.arc.reason) == ("temperror", "dns_temperror")


async def test_missing_key_fails() -> None:
    assert (await arc(await seal(sign()), s1___domainkey__example__org={})).arc_word == "fail"


async def test_broken_chain_is_not_sealed_again() -> None:
    raw = (await seal(sign())).replace(b"Hello", b"Hallo")
    found = await check(raw)
    assert seal_arc(raw, b"Authentication-Results: a; none", found.arc, "example.org", "s1", rsa_key(), NOW) == b""


async def test_arc_never_turns_a_dmarc_failure_into_a_pass() -> None:
    raw = (await seal(sign())) + b"-- \r\nlist footer\r\n"
    found = await check(await _seal_anyway(raw), peer_ip="198.51.100.7")
    assert (found.arc_word, found.dmarc_word) == ("pass", "fail")


async def test_mail_without_arc_is_none() -> None:
    assert (await arc(MESSAGE)).arc_word == "none"


async def test_fifty_one_sets_fail_without_a_look_up() -> None:
    junk = b"".join(
        b"ARC-Seal: i=%d; cv=pass\r\nARC-Message-Signature: i=%d\r\nARC-Authentication-Results: i=%d; x\r\n" % (n, n, n)
        for n in range(1, 52)
    )
    records = zone()
    found = await check(junk + MESSAGE, records)
    assert found.arc.reason == "arc_structure"
    assert not any("._domainkey." in name for name, _ in records.asked)
