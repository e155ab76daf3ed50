"""What is answered at RCPT: our mail is taken, and nothing is ever passed on for strangers."""

from datetime import timedelta

import pytest

from contracts.clock import from_ms
from contracts.ids import received_ms
from contracts.raw_message import Refusal
from contracts.settings import Settings
from contracts.statuses import Reason
from ingest.smtp.accept_recipient import Recipient, accept_recipient
from mail.bounce_address import VALID_DAYS, BounceAddresses

BOUNCES = BounceAddresses(b"key")
MAIL_ID = "01a206f7-6b43-7745-9bab-87fa221dd751"
NOW = from_ms(received_ms(MAIL_ID))
SETTINGS = Settings.model_validate(
    {
        "inbound": {
            "domains": {"ours.test": {}, "other.test": {"reject_on": ["spf-fail"]}, "bare.test": {}},
            "routes": [
                {"match": {"to": "no@ours.test"}, "reject": "550 5.7.1 not wanted"},
                {"match": {"to": "maybe@ours.test", "auth": {"dmarc": "fail"}}, "reject": "550 5.7.1 not wanted"},
                {"match": {"to": "team-*@ours.test"}, "forward": ["a@x.test"]},
                {"match": {"to": "*@other.test"}, "drop": "x"},
                {"match": {"to": "desk@ours.test"}, "drop": "x"},
                {"match": {"to": "postmaster@*"}, "drop": "x"},
            ],
        }
    }
)


def decide(address: str, envelope_from: str = "a@b.test") -> Recipient | Refusal:
    return accept_recipient(address, envelope_from, SETTINGS, BOUNCES, NOW)


@pytest.mark.parametrize("address", ["desk@ours.test", "DESK@OURS.test", "team-a@ours.test", "any@other.test"])
def test_an_address_that_a_route_matches_is_taken(address: str) -> None:
    assert isinstance(decide(address), Recipient)


def test_an_address_that_no_route_matches_is_unknown() -> None:
    for address in ("nobody@ours.test", "x@bare.test", "team@ours.test"):
        refused = decide(address)
        assert isinstance(refused, Refusal) and refused.reply.startswith("550 5.1.1")
        assert refused.reason is Reason.UNKNOWN_RECIPIENT


@pytest.mark.parametrize(
    "address",
    [
        "x@elsewhere.test",
        "x@sub.ours.test",
        "x%elsewhere.test@ours.test",
        "team-x%elsewhere.test@ours.test",
        '"x@elsewhere.test"@other.test',
        "elsewhere.test!x@other.test",
        "@other.test:x@elsewhere.test",
        "a:b@other.test",
        "SRS0=abcdefgh=aa=elsewhere.test=x@other.test",
        "srs1=abcdefgh=elsewhere.test==aa=x@other.test",
        "",
        "nobody",
        "@",
        "@ours.test",
    ],
)
def test_nothing_is_relayed_in_whatever_spelling(address: str) -> None:
    refused = decide(address)
    assert isinstance(refused, Refusal) and refused.reply.startswith("550 5.")


def test_a_name_that_only_begins_like_a_rewritten_sender_is_a_name() -> None:
    assert isinstance(decide("srs-team@other.test"), Recipient)
    assert isinstance(decide("srsmith@other.test"), Recipient)


def test_postmaster_alone_is_ours() -> None:
    taken = decide("Postmaster")
    assert isinstance(taken, Recipient) and taken.address == "postmaster@ours.test"


def test_our_bounce_addresses_are_taken_without_a_route_while_they_are_valid() -> None:
    verp = BOUNCES.verp(MAIL_ID, "a@x.test", "bare.test")
    rewritten = BOUNCES.srs("a@x.test", "bare.test", NOW)
    for address in (verp, verp.upper(), rewritten):
        assert isinstance(decide(address, envelope_from=""), Recipient)
    assert isinstance(decide(rewritten), Refusal) and isinstance(decide(verp), Refusal)  # reports only
    quoted = BOUNCES.srs('"a b"@x.test', "bare.test", NOW)
    taken = decide(quoted, envelope_from="")
    assert isinstance(taken, Recipient) and taken.origin == '"a b"@x.test'
    expired = BOUNCES.srs("a@x.test", "bare.test", NOW - timedelta(days=VALID_DAYS + 1))
    forged = BounceAddresses(b"other").verp(MAIL_ID, "a@x.test", "bare.test")
    for address in (expired, forged):
        assert isinstance(decide(address, envelope_from=""), Refusal)


def test_recipients_whose_mail_may_get_different_answers_do_not_share_a_transaction() -> None:
    def policy(address: str) -> object:
        decision = decide(address)
        assert isinstance(decision, Recipient)
        return decision.policy

    assert policy("desk@ours.test") == policy("team-a@ours.test") == policy("maybe@ours.test")
    assert len({policy("desk@ours.test"), policy("any@other.test"), policy("no@ours.test")}) == 3  # type: ignore[arg-type]
