"""What becomes of a mail: the verdict, the events, and whether the sender heard of a refusal."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.auth_results import AuthResults, DmarcPolicy, DmarcResult, DmarcWord, SpfResult
from contracts.auth_words import Alignment, SpfWord
from contracts.events import RawPointer
from contracts.raw_message import Envelope, RawType, Refusal
from contracts.settings import Settings
from contracts.statuses import Direction, Reason, rank
from mail.bounce_address import BounceAddresses
from mail.parse_headers import split_message
from processors.decide_inbound import decide_answered, decide_inbound, decide_refused
from processors.decision import Answered, Consequences, ReadMail

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
BOUNCES = BounceAddresses(b"key")
SETTINGS = Settings.model_validate(
    {
        "inbound": {
            "domains": {"ours.test": {"reject_on": ["dmarc-reject"]}, "watch.test": {"monitor": True}},
            "routes": [
                {"match": {"to": "big@ours.test", "max_size": 10}, "drop": "small"},
                {"match": {"to": "big@ours.test"}, "reject": "550 5.3.4 too big"},
                {"match": {"to": "*@ours.test", "from": "*@partner.test"}, "forward": ["a@x.test", "b@y.test"]},
                {"match": {"to": "*@ours.test", "header": {"List-Id": "*news*"}}, "drop": "lists"},
                {"match": {"to": "*@*"}, "drop": "logged"},
            ],
        }
    }
)
DSN = b"From: <postmaster@b.test>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n"
SPOOF = AuthResults(
    dmarc=DmarcResult(result=DmarcWord.FAIL, policy=DmarcPolicy.REJECT, domain="bank.test"), from_domain="bank.test"
)


def process(
    recipients: list[str],
    *,
    auth: AuthResults | None = None,
    head: bytes = b"From: a@b.test\r\n",
    now: datetime = NOW,
    **fields: Any,
) -> Consequences:
    envelope = Envelope(
        mail_id="01a206f7-6b43-7745-9bab-87fa221dd751",
        type=RawType.ACCEPTED,
        direction=Direction.INBOUND,
        received_at=NOW,
        recipients=recipients,
        **{
            "envelope_from": "a@b.test",
            "size": 100,
            "verdict_partition": 1,
            **fields,
        },
    )
    message = split_message(head + b"\r\nx\r\n")
    mail = ReadMail(envelope, message, RawPointer(topic="mail.raw", partition=0, offset=0))
    return decide_inbound(mail, auth or AuthResults(), SETTINGS, BOUNCES, now, lambda recipient: ("", []))


def told(outcome: Consequences) -> list[tuple[str, str, bool]]:
    return [(event.recipient, event.status.value, event.late) for event in outcome.events]


def test_a_spoof_is_refused_while_the_sender_listens() -> None:
    outcome = process(["a@ours.test"], auth=SPOOF)
    assert outcome.reply.startswith("550 5.7.26 DMARC") and told(outcome) == [("a@ours.test", "rejected", False)]
    assert not outcome.commands and outcome.events[0].auth is SPOOF


def test_where_the_sender_has_heard_250_already_the_log_says_so() -> None:
    outcome = process(["a@ours.test"], auth=SPOOF, answered="250 2.0.0 Accepted as x")
    assert outcome.reply.startswith("250") and told(outcome) == [("a@ours.test", "rejected", True)]


def test_where_nobody_waits_a_refusal_is_late() -> None:
    outcome = process(["a@ours.test"], auth=SPOOF, verdict_partition=None)
    assert outcome.reply == "" and told(outcome) == [("a@ours.test", "rejected", True)]


def test_what_one_recipient_refuses_and_another_takes_is_accepted() -> None:
    outcome = process(["big@ours.test", "x@ours.test"])
    assert outcome.reply.startswith("250")
    assert told(outcome) == [
        ("big@ours.test", "rejected", True),
        ("x@ours.test", "received", False),
        ("x@ours.test", "dropped", False),
    ]


def test_a_refusal_for_now_is_told_before_one_for_good() -> None:
    """One reply is for all: who was refused for good is so again when the sender comes back."""
    unknown = AuthResults(dmarc=DmarcResult(result=DmarcWord.TEMPERROR, domain="bank.test"))
    looped = b"Delivered-To: a@ours.test\r\nFrom: a@b.test\r\n"
    outcome = process(["a@ours.test", "x@ours.test"], auth=unknown, head=looped)
    assert outcome.reply.startswith("451 4.7.26")
    assert told(outcome) == [("a@ours.test", "rejected", False), ("x@ours.test", "rejected", False)]


def test_the_first_route_that_matches_decides() -> None:
    assert told(process(["big@ours.test"], size=5))[-1][1] == "dropped"
    listed = process(["x@ours.test"], head=b"From: a@b.test\r\nList-Id: <the.NEWS.of.test>\r\n")
    assert listed.events[-1].detail == "lists"


def test_a_forward_is_one_command_for_all_its_targets_with_a_sender_that_comes_back() -> None:
    (command,) = process(["x@ours.test"], head=b"From: Bo <bo@partner.test>\r\n").commands
    assert [target.address for target in command.targets] == ["a@x.test", "b@y.test"]
    assert BOUNCES.read_srs(command.envelope_from, NOW) == "a@b.test"


def test_monitor_refuses_nothing_and_tells() -> None:
    outcome = process(["a@watch.test"], auth=SPOOF)
    assert outcome.reply.startswith("250") and "would have been refused (dmarc_reject)" in outcome.events[0].detail


def test_a_report_to_a_bounce_address_is_taken_and_goes_nowhere() -> None:
    address = BOUNCES.verp("01a206f7-6b43-7745-9bab-87fa221dd751", "anna@x.test", "ours.test")
    outcome = process([address], envelope_from="", head=DSN)
    assert told(outcome)[-1][1] == "dropped" and "01a206f7-6b43-7745-9bab-87fa221dd751" in outcome.events[-1].detail


@pytest.mark.parametrize(
    ("head", "auth", "taken"),
    [
        (DSN, AuthResults(), True),
        (b"From: a@b.test\r\nAuto-Submitted: auto-replied\r\n", AuthResults(), True),
        (b"From: a@b.test\r\nContent-Type: multipart/report; report-type=disposition-notification\r\n", None, True),
        (b"From: MAILER-DAEMON@b.test\r\n", AuthResults(), True),  # in free words, as qmail does
        (b"From: a@b.test\r\n", AuthResults(), False),
        (b"From: a@b.test\r\nAuto-Submitted: no\r\n", AuthResults(), False),
        (b"From: a@b.test\r\nContent-Type: multipart/mixed; report-type=delivery-status\r\n", AuthResults(), False),
        (b"From: MAILER-DAEMON@b.test, ceo@b.test\r\n", AuthResults(), False),
        (DSN, SPOOF, False),  # policy holds here too
        (b"From: ceo@watch.test\r\nAuto-Submitted: auto-replied\r\n", AuthResults(), False),  # a domain of ours
        (b"From : ceo@watch.test\r\nFrom: a@b.test\r\nAuto-Submitted: auto-replied\r\n", AuthResults(), False),
        (b"X: 1\rFrom: ceo@watch.test\r\nFrom: a@b.test\r\nAuto-Submitted: auto-replied\r\n", AuthResults(), False),
        (b"From: ceo@sub.watch.test\r\nAuto-Submitted: auto-replied\r\n", AuthResults(), False),
        (
            b"From: postmaster@watch.test\r\nAuto-Submitted: auto-replied\r\n",
            AuthResults(dmarc=DmarcResult(result=DmarcWord.PASS, domain="watch.test")),
            True,
        ),
        (
            b"From: a@b.test\r\nSender: postmaster@watch.test\r\nAuto-Submitted: auto-replied\r\n",
            AuthResults(dmarc=DmarcResult(result=DmarcWord.PASS, domain="b.test")),
            False,
        ),
    ],
)
def test_bounce_addresses_take_reports_only_and_under_policy(
    head: bytes, auth: AuthResults | None, taken: bool
) -> None:
    rewritten = BOUNCES.srs("anna@x.test", "ours.test", NOW)
    verp = BOUNCES.verp("01a206f7-6b43-7745-9bab-87fa221dd751", "anna@x.test", "ours.test")
    for address in (rewritten, verp):
        outcome = process([address], envelope_from="", head=head, auth=auth)
        assert outcome.reply[:3] == ("250" if taken else "550") and bool(outcome.commands) == (
            taken and address == rewritten
        )
    assert process([rewritten], head=DSN).reply.startswith("550")  # not from the null sender


CLAIMS = [
    "From: =?utf-8?q?ceo=40ours.test?=",
    'From: "ceo@ours.test" <x@evil.test>',
    "From: =?utf-8?b?Y2VvQG91cnMudGVzdA==?= <x@evil.test>",
    "From: ours.test support <x@evil.test>",
    "From: ceo\uff20ours\uff0etest <x@evil.test>",
    "From: <=?utf-8?q?ceo=40ours.test?=>",
    "From: ceo@*.ours.test",
    "From: ceo@ours..test",
    "From: ceo@evil..test",
    "Sender: ceo@ours.test",
    'From: x@evil.test\r\nSender: "ceo@o\u200burs.test" <x@evil.test>',
    "From: x@evil.test\r\nReply-To: ceo@mail.ours.test",
    "From: x@evil.test\r\n" + "Reply-To: x@evil.test\r\n" * 25 + "Sender: x@evil.test",
]


@pytest.mark.parametrize("claim", CLAIMS, ids=repr)
def test_an_automatic_answer_that_shows_our_name_in_any_spelling_is_not_passed_on(claim: str) -> None:
    rewritten = BOUNCES.srs("anna@x.test", "ours.test", NOW)
    head = claim.encode() + b"\r\nAuto-Submitted: auto-replied\r\n"
    outcome = process([rewritten], envelope_from="", head=head)
    assert outcome.reply.startswith("550 5.7.1") and not outcome.commands


@pytest.mark.parametrize(
    "author", ["From: MAILER-DAEMON", "From: x@notours.test", "From: a.b <x@ours.test.evil.test>", "From: x@evil.test"]
)
def test_an_automatic_answer_that_shows_another_name_is_passed_on(author: str) -> None:
    rewritten = BOUNCES.srs("anna@x.test", "ours.test", NOW)
    head = author.encode() + b"\r\nAuto-Submitted: auto-replied\r\n"
    assert process([rewritten], envelope_from="", head=head).commands


def test_a_row_that_stands_for_many_refused_recipients_says_how_many() -> None:
    refused = Envelope(
        mail_id="01a206f7-6b43-7745-9bab-87fa221dd751",
        type=RawType.REFUSED,
        direction=Direction.INBOUND,
        received_at=NOW,
        envelope_from="",
        recipients=["guess@ours.test"],
        refusal=Refusal(reply="550 5.1.1 no", reason=Reason.UNKNOWN_RECIPIENT, more=589),
    )
    (event,) = decide_refused(refused).events
    assert event.detail == "answered 550 5.1.1 no; and 589 more recipients of this peer, within a minute"


def test_the_time_of_the_decision_does_not_make_a_refusal_late() -> None:
    """A replay hours later tells the same story: only the receiver knows what was said."""
    outcome = process(["a@ours.test"], auth=SPOOF, now=NOW + timedelta(hours=9))
    assert outcome.reply.startswith("550") and told(outcome) == [("a@ours.test", "rejected", False)]


def test_the_receivers_word_makes_what_it_did_not_wait_for_late() -> None:
    refused = process(["a@ours.test"], auth=SPOOF).events
    late = decide_answered(refused, "250 2.0.0 Accepted as x")
    assert told(late) == [("a@ours.test", "rejected", True)] and late.reply == "" and not late.commands
    assert late.events[0].detail.endswith(" (answered 250 2.0.0 Accepted as x, before this was decided)")
    assert late.events[0].detail.count("answered") == 1
    assert rank(late.events[0].status, True) > rank(refused[0].status, False)
    assert told(decide_answered(process(["big@ours.test", "x@ours.test"]).events, "250 x")) == []


def test_a_failed_forward_is_told_only_to_a_sender_who_is_known_to_have_sent_it() -> None:
    def notify(dmarc: DmarcWord, spf: SpfWord, alignment: Alignment) -> bool:
        auth = AuthResults(dmarc=DmarcResult(result=dmarc), spf=SpfResult(result=spf, alignment=alignment))
        (command,) = process(["x@ours.test"], auth=auth, head=b"From: a@partner.test\r\n").commands
        return command.notify

    assert notify(DmarcWord.PASS, SpfWord.PASS, Alignment.STRICT)
    assert notify(DmarcWord.PASS, SpfWord.FAIL, Alignment.RELAXED), "forwarded to us with its signature"
    assert notify(DmarcWord.PASS, SpfWord.PASS, Alignment.NONE), "a mail service of the author's"
    assert notify(DmarcWord.NONE, SpfWord.PASS, Alignment.NONE)
    assert not notify(DmarcWord.PASS, SpfWord.FAIL, Alignment.NONE), "signed by its author, in a victim's name"
    assert not notify(DmarcWord.PASS, SpfWord.NONE, Alignment.UNKNOWN)
    assert not notify(DmarcWord.FAIL, SpfWord.PASS, Alignment.NONE)


def test_a_key_that_a_subject_names_goes_to_the_handler_that_gave_it_and_nowhere_else() -> None:
    settings = Settings.model_validate(
        {
            "inbound": {
                "domains": {"ours.test": {}},
                "routes": [
                    {"match": {"to": "desk@ours.test"}, "handle": "desk"},
                    {"match": {"to": "hr@ours.test"}, "handle": "people"},
                    {"match": {"to": "*@ours.test"}, "forward": ["a@x.test"]},
                ],
            },
            "handlers": {one: {"webhook": "http://127.0.0.1:1/", "secret": "whsec_MDAw"} for one in ("desk", "people")},
        }
    )
    recipients = ["desk@ours.test", "hr@ours.test", "other@ours.test"]
    envelope = Envelope(
        mail_id="01a206f7-6b43-7745-9bab-87fa221dd751", type=RawType.ACCEPTED, direction=Direction.INBOUND, received_at=NOW,
        recipients=recipients, envelope_from="a@b.test", size=100,
    )  # fmt: skip
    message = split_message(b"From: a@b.test\r\nSubject: IT-1\r\n\r\nx\r\n")
    pointer = RawPointer(topic="mail.raw", partition=0, offset=0)

    def keys(answers: Answered) -> list[str]:
        mail = ReadMail(envelope, message, pointer, answers=answers)
        found = decide_inbound(mail, AuthResults(), settings, BOUNCES, NOW, lambda recipient: ("", []))
        assert [command.mail.reference for command in found.commands] == [one.mail.reference for one in found.events]
        return [command.mail.reference for command in found.commands]

    assert keys(Answered(named={"desk": "IT-1"})) == ["IT-1", "", ""]
    assert keys(Answered(key="IT-2", named={"desk": "IT-1"})) == ["IT-2"] * 3
    assert keys(Answered(decided=dict(zip(recipients, ("IT-1", "", "IT-3"), strict=True)))) == ["IT-1", "", "IT-3"]
