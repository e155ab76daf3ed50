"""One mail as a whole: what a reader of the results sees."""

import asyncio
import os

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.auth_results import AuthReason, AuthResults
from contracts.dns_answers import DnsAnswer
from mail.authentication import ReceivedMail, authenticate, run_checks
from tests.fakes.signed_mail import MESSAGE, check, sign, zone
from tests.fakes.zone import Zone


async def test_mail_that_is_right_in_every_way_passes_every_check() -> None:
    found = await check(sign())
    assert (found.spf_word, found.dkim_word, found.dmarc_word, found.arc_word, found.iprev_word) == (
        "pass",
        "pass",
        "pass",
        "none",
        "pass",
    )
    assert found.from_domain == "example.org"
    assert found.flags == ()
    assert found.dmarc.policy == "reject"
    assert found.dkim[0].key_bits == 2048
    assert found.dkim[0].alignment == "strict"
    assert found.spf.record == "v=spf1 ip4:192.0.2.1 -all"
    assert [found.spf.cause, found.dkim[0].cause, found.dmarc.cause] == ["", "", ""]


async def test_results_survive_the_round_trip_through_json() -> None:
    found = await check(sign(), peer_ip="198.51.100.7")
    assert msgspec.json.decode(msgspec.json.encode(found), type=AuthResults) == found


async def test_forged_mail_fails_dmarc_and_says_why() -> None:
    found = await check(MESSAGE, peer_ip="198.51.100.7")
    assert found.dmarc_word == "fail"
    assert found.spf.cause == "198.51.100.7 is not in example.org's SPF record `v=spf1 ip4:192.0.2.1 -all`."
    assert "d=example.org" in found.dmarc.cure


async def test_null_sender_is_judged_by_helo() -> None:
    found = await check(MESSAGE, envelope_from="")
    assert found.spf.identity == "helo"
    assert found.spf.domain == "mx.example.org"


async def test_dead_name_servers_give_temperror_never_a_failure() -> None:
    dead = {rtype: "SERVFAIL" for rtype in ("TXT", "A", "AAAA", "MX", "PTR")}
    found = await check(
        sign(),
        zone(
            example__org=dead,
            s1___domainkey__example__org=dead,
            _dmarc__example__org=dead,
            **{"1__2__0__192__in-addr__arpa": dead},
        ),
    )
    assert {found.spf_word, found.dkim_word, found.dmarc_word, found.iprev_word} == {"temperror"}


async def test_the_policy_of_the_author_is_asked_for_before_anything_of_the_senders() -> None:
    names = zone()
    await check(sign(), names)
    assert names.asked[0] == ("_dmarc.example.org", "TXT")


async def test_a_sender_whose_names_never_answer_does_not_hide_the_authors_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Idle(Zone):
        async def query(self, name: str, rtype: str) -> DnsAnswer:
            if "idle.example" in name or name.endswith("arpa"):
                await asyncio.sleep(60)
            return await super().query(name, rtype)

    for share in ("SPF", "DKIM", "IPREV"):
        monkeypatch.setattr(run_checks, share, getattr(run_checks, share)._replace(seconds=0.05))
    signed = sign(tags={"d": "idle.example"})
    found = await check(signed, Idle(zone().records), envelope_from="a@idle.example")
    assert (found.spf_word, found.dkim_word, found.iprev_word) == ("temperror",) * 3
    assert (found.dmarc_word, found.dmarc.policy) == ("fail", "reject")


async def test_missing_envelope_is_no_error() -> None:
    found = await authenticate(ReceivedMail(b""), zone())
    assert (found.spf_word, found.dkim_word, found.dmarc_word) == ("none", "none", "none")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.binary(max_size=400),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=6)).map(
            lambda change: (lambda raw: raw[: change[0]] + change[1] + raw[change[0] :])(sign())
        ),
    ),
    st.text(st.characters(), max_size=40),
    st.text(st.characters(), max_size=40),
)
def test_no_input_raises(raw: bytes, helo: str, envelope_from: str) -> None:
    found = asyncio.run(authenticate(ReceivedMail(raw, "192.0.2.1", helo, envelope_from, now=0.0), zone()))
    checks = (found.spf, *found.dkim, found.dmarc, found.arc, found.iprev)
    assert AuthReason.INTERNAL_ERROR not in {check.reason for check in checks}
    assert "internal_error" not in found.flags
    assert msgspec.json.decode(msgspec.json.encode(found), type=AuthResults) == found


async def test_twenty_five_megabytes_are_judged_whole() -> None:
    body = (b"x" * 70 + b"  \t\r\n") * (25 * 1024 * 1024 // 75)
    found = await check(sign(MESSAGE + body))
    assert found.dkim_word == "pass"
    assert (await check(sign(MESSAGE + body)[:-9] + b"changed\r\n")).dkim_word == "fail"


async def test_undecodable_envelope_still_makes_json() -> None:
    found = await check(sign(), helo="mx\udcff", envelope_from="jo\udce9@example.org", authserv_id="a\ud800")
    assert msgspec.json.encode(found)


async def test_many_mails_at_once_do_not_mix() -> None:
    mails = [check(MESSAGE, peer_ip=f"192.0.2.{index % 3}") for index in range(60)]
    for index, found in enumerate(await asyncio.gather(*mails)):
        assert found.spf_word == ("pass" if index % 3 == 1 else "fail")
        assert found.spf.peer_ip == f"192.0.2.{index % 3}"


async def test_random_bytes_as_a_body_change_nothing() -> None:
    assert (await check(sign(MESSAGE + os.urandom(5000).replace(b"\n", b"").replace(b"\r", b"")))).dkim_word == "pass"
