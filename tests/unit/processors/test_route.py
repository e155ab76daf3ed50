"""Routes: the first one whose conditions all hold decides."""

from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.auth_results import AuthResults, DkimResult, DkimWord, DmarcResult, DmarcWord, SpfResult, SpfWord
from contracts.events import Summary
from contracts.settings import Settings
from contracts.statuses import Status
from mail.parse_headers import split_message
from processors.decision import Decision
from processors.detect_loop import MAX_RECEIVED, detect_loop
from processors.route import route

AUTH = AuthResults(
    spf=SpfResult(result=SpfWord.SOFTFAIL),
    dkim=(DkimResult(result=DkimWord.PASS),),
    dmarc=DmarcResult(result=DmarcWord.PASS),
)
HEAD = b"From: a@b.test\r\nList-Id: <News.ours.test>\r\nX-Tag: one\r\nX-Tag: two\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nx"


def decide(*matches: dict[str, Any], to: str = "desk@ours.test", size: int = 1000, head: bytes = HEAD) -> Decision:
    routes = [{"match": match, "drop": f"{number}"} for number, match in enumerate(matches, 1)]
    settings = Settings.model_validate({"inbound": {"routes": routes}})
    mail = Summary(received_at=datetime(2026, 11, 3, tzinfo=UTC), from_="Anna@Partner.test", size=size)
    return route(to, mail, split_message(head), AUTH, settings)


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ({}, True),
        ({"to": "desk@ours.test"}, True),
        ({"to": "DESK@*"}, True),
        ({"to": "other@ours.test"}, False),
        ({"from": "*@partner.test"}, True),
        ({"from": "*@other.test"}, False),
        ({"max_size": 1000}, True),
        ({"max_size": 999}, False),
        ({"min_size": 1000}, True),
        ({"min_size": 1001}, False),
        ({"auth": {"dmarc": "pass"}}, True),
        ({"auth": {"dmarc": "fail"}}, False),
        ({"auth": {"spf": "softfail", "dkim": "pass"}}, True),
        ({"auth": {"spf": "pass", "dkim": "pass"}}, False),
        ({"auth": {"dkim": "none"}}, False),
        ({"header": {"List-Id": "*"}}, True),
        ({"header": {"list-ID": "<news.*>"}}, True),
        ({"header": {"List-Id": "*sports*"}}, False),
        ({"header": {"X-Tag": "two"}}, True),
        ({"header": {"X-Tag": "one two"}}, False),
        ({"header": {"Subject": "grüße"}}, True),
        ({"header": {"X-Missing": "*"}}, False),
        ({"header": {"X-Tag": "one", "X-Missing": "*"}}, False),
        ({"to": "desk@*", "from": "*@partner.test", "max_size": "1KiB", "auth": {"dmarc": "pass"}}, True),
        ({"to": "desk@*", "from": "*@other.test", "max_size": "1KiB", "auth": {"dmarc": "pass"}}, False),
    ],
    ids=str,
)
def test_a_route_holds_when_all_of_its_conditions_do(match: dict[str, Any], holds: bool) -> None:
    assert (decide(match).status is Status.DROPPED) is holds


def test_the_first_that_holds_decides_and_is_named() -> None:
    decision = decide({"to": "other@*"}, {"to": "desk@*"}, {})
    assert (decision.status, decision.detail, decision.arrival) == (Status.DROPPED, "2", "route 2: drop: 2")


def test_where_no_route_holds_it_is_refused_and_said() -> None:
    decision = decide({"to": "other@*"})
    assert decision.reason == "no_route" and decision.reply.startswith("550 5.7.1") and "no route" in decision.detail


@pytest.mark.parametrize(
    ("action", "says"),
    [
        ({"forward": ["a@x.test", "b@x.test"]}, "route 1: forward to a@x.test, b@x.test"),
        ({"reject": "550 5.7.1 no"}, "route 1: reject: 550 5.7.1 no"),
        ({"drop": ""}, "route 1: drop: dropped by a rule"),
    ],
)
def test_each_action_is_told_in_one_sentence(action: dict[str, Any], says: str) -> None:
    settings = Settings.model_validate({"inbound": {"routes": [{"match": {}, **action}]}})
    mail = Summary(received_at=datetime(2026, 11, 3, tzinfo=UTC))
    decision = route("a@b.test", mail, split_message(HEAD), AUTH, settings)
    assert (decision.arrival or decision.detail) == says


def test_a_mail_that_we_delivered_to_this_recipient_before_goes_in_a_circle() -> None:
    message = split_message(b"Delivered-To:  Desk@Ours.test \r\nDelivered-To: other@ours.test\r\n\r\nx")
    assert detect_loop(message, "desk@ours.test") and not detect_loop(message, "sales@ours.test")


@pytest.mark.parametrize(
    "written",
    [
        "Desk@bücher.test",
        "desk@BÜCHER.test",
        "desk@xn--bcher-kva.test.",
        "<desk@XN--BCHER-KVA.test>",
        '"desk"@bücher.test',
    ],
)
def test_a_loop_is_seen_in_whatever_spelling_it_comes_back(written: str) -> None:
    message = split_message(f"Delivered-To: {written}\r\n\r\nx".encode())
    assert detect_loop(message, "desk@xn--bcher-kva.test") and detect_loop(message, "desk@bücher.test")
    assert not detect_loop(message, "desk@bucher.test")


def test_a_mail_that_was_received_too_often_goes_in_a_circle() -> None:
    received = b"Received: from a by b\r\n"
    assert not detect_loop(split_message(received * MAX_RECEIVED + b"\r\nx"), "a@b.test")
    assert detect_loop(split_message(received * (MAX_RECEIVED + 1) + b"\r\nx"), "a@b.test")
