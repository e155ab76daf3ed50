"""Bounce addresses lead back to what they were made for, and nobody else can make one."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.clock import from_ms
from contracts.ids import received_ms
from contracts.rounds import MOST_ROUNDS
from mail.addresses import unquote_local
from mail.bounce_address import VALID_DAYS, BounceAddresses, recipient_digest

OURS, THEIRS = BounceAddresses(b"one"), BounceAddresses(b"two")
MAIL_ID = "01a206f7-6b43-7745-9bab-87fa221dd751"
NOW = from_ms(received_ms(MAIL_ID))


def test_verp_finds_its_mail_and_recipient_in_any_case() -> None:
    address = OURS.verp(MAIL_ID, "anna@x.test", "ours.test")
    for spelled in (address, address.upper(), f"<{address}>"):
        found = OURS.read_verp(spelled, NOW)
        assert found is not None and (found.mail_id, found.recipient_digest) == (
            MAIL_ID,
            recipient_digest("Anna@x.test"),
        )
    assert len(address.partition("@")[0]) <= 64


def test_a_forged_verp_finds_nothing() -> None:
    address = OURS.verp(MAIL_ID, "anna@x.test", "ours.test")
    assert THEIRS.read_verp(address, NOW) is None
    for position in range(2, address.index("@")):
        other = "a" if address[position] != "a" else "b"
        assert OURS.read_verp(address[:position] + other + address[position + 1 :], NOW) is None


@pytest.mark.parametrize("round_", [1, 17, MOST_ROUNDS])
def test_verp_of_a_redelivery_says_which_one(round_: int) -> None:
    address = OURS.verp(MAIL_ID, "anna@x.test", "ours.test", round_)
    found = OURS.read_verp(address.upper(), NOW)
    assert found is not None and (found.mail_id, found.round) == (MAIL_ID, round_)
    assert len(address.partition("@")[0]) <= 64
    mail, recipient, said, mac = address.partition("@")[0].split(".")
    other = "z" if said != "z" else "y"
    assert OURS.read_verp(f"{mail}.{recipient}.{other}.{mac}@ours.test", NOW) is None
    assert OURS.read_verp(f"{mail}.{recipient}.{mac}@ours.test", NOW) is None


@given(st.from_regex(r"[A-Za-z0-9.+_-]{1,30}", fullmatch=True))
def test_srs_gives_the_first_sender_back(local: str) -> None:
    assert OURS.read_srs(OURS.srs(f"{local}@good.test", "ours.test", NOW), NOW) == f"{local}@good.test"


@pytest.mark.parametrize(
    ("sender", "local"),
    [
        ('"anna b"@good.test', "anna b"),
        ('"a@b"@good.test', "a@b"),
        ('"say \\"hi\\""@good.test', 'say "hi"'),
        ('"anna"@good.test', "anna"),
    ],
)
def test_a_quoted_sender_is_quoted_as_a_whole_and_comes_back(sender: str, local: str) -> None:
    address = OURS.srs(sender, "ours.test", NOW)
    written, _, domain = address.rpartition("@")
    assert domain == "ours.test" and unquote_local(written).endswith(f"=good.test={local}")
    assert ('"' in written) == (written[0] == written[-1] == '"')
    back = OURS.read_srs(address, NOW)
    assert back is not None and unquote_local(back.rpartition("@")[0]) == local
    assert OURS.srs(back, "ours.test", NOW) == address


def test_srs_expires_and_cannot_be_made_up() -> None:
    address = OURS.srs("anna@good.test", "ours.test", NOW)
    assert OURS.read_srs(address, NOW + timedelta(days=VALID_DAYS)) == "anna@good.test"
    assert OURS.read_srs(address, NOW + timedelta(days=VALID_DAYS + 1)) is None
    assert THEIRS.read_srs(address, NOW) is None
    assert OURS.read_srs(address.replace("good.test", "evil.test"), NOW) is None


def test_the_null_sender_stays_null() -> None:
    assert OURS.srs("", "ours.test", NOW) == ""


def test_a_verp_address_expires_with_the_time_that_its_mail_id_holds() -> None:
    address = OURS.verp(MAIL_ID, "anna@x.test", "ours.test")
    assert OURS.read_verp(address, NOW + timedelta(days=VALID_DAYS)) is not None
    assert OURS.read_verp(address, NOW + timedelta(days=VALID_DAYS + 1)) is None
