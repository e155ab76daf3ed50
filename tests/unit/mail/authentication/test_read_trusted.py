"""What the server that took a mail wrote on top counts; what its sender may have written does not."""

import pytest

from contracts.auth_results import AuthReason, AuthResults
from mail.authentication.read_trusted import read_trusted
from mail.parse_headers import split_message

HERE = "mx.example.net"
TOOK = "Received: from client.good.test (relay.good.test [192.0.2.7]) by mx.example.net with ESMTPS; Tue, 03 Nov 2026 12:22:54 +0000"
INNER = "Received: from mx.example.net by store.example.net with LMTP; Tue, 03 Nov 2026 12:22:55 +0000"
FROM = "From: Anna <anna@good.test>"
GOOD = (
    "Authentication-Results: mx.example.net 1; spf=pass (ok; really) smtp.mailfrom=anna@good.test;\r\n"
    ' dkim=pass header.d=good.test header.s="s1" header.b=abc; dkim=fail header.i=@other.test;\r\n'
    " dmarc=pass (p=reject dis=none) header.from=good.test; arc=none; iprev=pass policy.iprev=192.0.2.7; x-odd=yes"
)
BAD = "Authentication-Results: mx.example.net; spf=fail smtp.mailfrom=anna@good.test; dmarc=fail header.from=good.test"
OWN = "Received: from laptop by client.good.test; Tue, 03 Nov 2026 12:22:50 +0000"


def read(*lines: str, authserv_id: str = HERE, hops: int = 0) -> AuthResults:
    return read_trusted(split_message("\r\n".join((*lines, "", "body", "")).encode()), authserv_id, hops)


def words(found: AuthResults) -> tuple[str, str, str]:
    return found.spf_word, found.dkim_word, found.dmarc_word


def test_what_the_trusted_server_wrote_is_the_result_and_says_whose_word_it_is() -> None:
    found = read(GOOD, TOOK, OWN, FROM)
    assert words(found) == ("pass", "pass", "pass") and found.arc_word == "none" and found.iprev_word == "pass"
    assert (found.trusted, found.authserv_id, found.helo) == (HERE, HERE, "client.good.test")
    assert found.spf.peer_ip == "192.0.2.7" and found.spf.domain == "good.test"
    assert (found.dkim[0].domain, found.dkim[0].selector, found.dkim[1].domain) == ("good.test", "s1", "other.test")
    assert found.dmarc.reason is AuthReason.TRUSTED_HOP and "no check of ours" in found.dmarc.detail
    assert "not checked here" in found.dkim[1].cause


def test_the_topmost_one_counts() -> None:
    assert words(read(BAD, GOOD, TOOK, OWN, FROM)) == ("fail", "none", "fail")
    assert words(read(GOOD, BAD, TOOK, OWN, FROM))[0] == "pass"


def test_directly_below_its_own_received_it_counts_as_well() -> None:
    assert words(read(TOOK, GOOD, OWN, FROM)) == ("pass", "pass", "pass")


@pytest.mark.parametrize(
    "lines",
    [
        (TOOK, OWN, GOOD, FROM),  # below the sender's own Received
        (TOOK.replace("by mx.example.net", "by other.example.net"), GOOD, FROM),  # another server's
        (INNER, GOOD, FROM),
        (TOOK, FROM),
        (GOOD.replace("mx.example.net 1", "mx.evil.test"), TOOK, FROM),
        (GOOD.replace("mx.example.net 1", "(mx.example.net) mx.evil.test"), TOOK, FROM),
        (FROM,),
    ],
)
def test_what_its_sender_may_have_written_does_not(lines: tuple[str, ...]) -> None:
    found = read(*lines)
    assert words(found) == ("none", "none", "none")
    assert found.dmarc.reason is AuthReason.NOT_CHECKED and found.dmarc.detail and found.dmarc.cause


def test_without_a_trusted_server_nothing_is_known_and_the_setting_is_named() -> None:
    found = read(GOOD, TOOK, FROM, authserv_id="")
    assert words(found) == ("none", "none", "none") and "trusted_authserv_id" in found.spf.detail


def test_servers_behind_it_are_counted() -> None:
    assert words(read(INNER, TOOK, GOOD, OWN, FROM, hops=1)) == ("pass", "pass", "pass")
    assert words(read(INNER, GOOD, TOOK, OWN, FROM, hops=1)) == ("pass", "pass", "pass")
    assert words(read(TOOK, GOOD, OWN, FROM, hops=1)) == ("none", "none", "none")  # it came another way
    assert words(read(INNER, TOOK, OWN, GOOD, FROM, hops=1)) == ("none", "none", "none")


@pytest.mark.parametrize(
    "author",
    ["From: x@evil.test", "From: a@good.test, b@evil.test", "From: a@good.test\r\nFrom: x@evil.test", "To: x@y.z"],
)
def test_a_pass_is_for_the_author_that_it_names(author: str) -> None:
    assert read(GOOD, TOOK, author).dmarc_word == "none"


def test_words_that_the_method_does_not_have_are_none() -> None:
    found = read(
        "Authentication-Results: mx.example.net; spf=hardfail; dkim=discard; dmarc=bestguesspass header.from=good.test",
        TOOK,
        FROM,
    )
    assert words(found) == ("fail", "none", "none")


@pytest.mark.parametrize(
    "value",
    [
        "(" * 20_000,
        ";" * 20_000,
        '"' * 20_000,
        "spf=" * 5_000,
        "= = =;" * 3_000,
        "spf=pass a=" + "b" * 15_000,
        "\\" * 9_000,
    ],
)
def test_hostile_values_are_read_in_bounds(value: str) -> None:
    found = read(f"Authentication-Results: mx.example.net; {value}", TOOK, FROM)
    assert len(found.dkim) <= 30 and len(found.spf.sender) <= 320
