"""Every filter of the API, against rows that the sink's own code wrote into the real engine."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from contracts import clock
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status
from tests.integration.console_log import Log

OUT = Direction.OUTBOUND


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """Five mails, `e` the newest: one of each kind that matters to a filter."""
    log = Log(tmp_path_factory.mktemp("search"))
    minute = timedelta(minutes=1)
    log.add(
        "Desk@Example.com", Status.PROCESSED, age=50 * minute, subject="a Printer on fire: 100%", from_="anna@partner.example",
        message_id="one@partner.example", reference="IT-42", channel="helpdesk", spf="pass", dkim="pass", dmarc="pass",
    )  # fmt: skip
    log.add(
        "desk@example.com", Status.REJECTED, age=40 * minute, subject="b Your account", from_="Ceo@bank.example",
        message_id="two@bank.example", reason=Reason.DMARC_REJECT, spf="fail", dkim="none", dmarc="fail",
    )  # fmt: skip
    log.add(
        "ann_a@shop.example", Status.DELIVERY_FAILED, age=30 * minute, direction=OUT, subject="c invite", from_="app@example.com",
        stream="invitation", template="Customer invitation", reason=Reason.INVALID_ADDRESS, attempt=1,
        bounce=(BounceType.HARD, BounceClass.INVALID_RECIPIENT), message_id="three@example.com",
    )  # fmt: skip
    log.add(
        "annxa@shop.example", Status.DEFERRED, age=20 * minute, direction=OUT, subject="d INVITE Straße", from_="app@example.com",
        stream="request-notification", reason=Reason.DESTINATION_UNAVAILABLE, attempt=1,
        bounce=(BounceType.SOFT, BounceClass.RATE_LIMITED),
    )  # fmt: skip
    five = log.add(
        "joe@shop.example", Status.SENT, age=10 * minute, direction=OUT, subject="e news", from_="app@example.com"
    )
    log.add(
        "joe@shop.example",
        Status.DELIVERED,
        mail_id=five,
        direction=OUT,
        subject="e news",
        from_="app@example.com",
        attempt=1,
    )
    yield log
    log.close()


def letters(found: list[str]) -> str:
    return "".join(subject[0] for subject in found)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "edcba"),
        ({"direction": "inbound"}, "ba"),
        ({"direction": "!inbound"}, "edc"),
        ({"status": "processed"}, "a"),
        ({"status": "sent"}, ""),  # superseded by delivered: an old row must not be found
        ({"status": "delivered,processed"}, "ea"),
        ({"status": "!delivered,processed"}, "dcb"),
        ({"from": "anna@partner.example"}, "a"),
        ({"from": "CEO@BANK.example"}, "b"),
        ({"from": "*@example.com"}, "edc"),
        ({"from": "!*@example.com"}, "ba"),
        ({"from": "app@*"}, "edc"),
        ({"from": "partner"}, "a"),
        ({"to": "desk@example.com"}, "ba"),
        ({"to": "d*k@example.com"}, "ba"),
        ({"to": "ann_a@shop.example"}, "c"),
        ({"to": "ann_a@*"}, "c"),  # _ is no wildcard
        ({"to": "ann?a@shop.example"}, ""),
        ({"to": "joe@shop.example,ann_a@shop.example"}, "ec"),
        ({"to": "*@shop.example,desk@example.com"}, "edcba"),
        ({"subject": "invite"}, "dc"),
        ({"subject": "INVITE"}, "dc"),
        ({"subject": "straße"}, "d"),
        ({"subject": "100%"}, "a"),
        ({"subject": "1%"}, ""),  # % is no wildcard
        ({"subject": "a Printer*"}, "a"),
        ({"subject": "*fire*"}, "a"),
        ({"subject": "!*invite*"}, "eba"),
        ({"message_id": "two@bank.example"}, "b"),
        ({"message_id": "<two@bank.example>"}, "b"),
        ({"message_id": "<one@partner.example>,three@example.com"}, "ca"),
        ({"message_id": "!two@bank.example"}, "edca"),
        ({"reference": "IT-42"}, "a"),
        ({"channel": "helpdesk"}, "a"),
        ({"channel": "!helpdesk"}, "edcb"),
        ({"stream": "invitation,request-notification"}, "dc"),
        ({"template": "Customer invitation"}, "c"),
        ({"domain": "shop.example"}, "edc"),
        ({"domain": "BANK.example"}, "b"),
        ({"domain": "!example.com"}, ""),
        ({"spf": "fail"}, "b"),
        ({"dkim": "!pass", "direction": "inbound"}, "b"),
        ({"dmarc": "pass,fail"}, "ba"),
        ({"bounce_type": "hard"}, "c"),
        ({"bounce_class": "rate_limited,invalid_recipient"}, "dc"),
        ({"bounce_class": "!rate_limited", "direction": "outbound"}, "ec"),
        ({"reason": "dmarc_reject"}, "b"),
        ({"since": "25m"}, "ed"),
        ({"until": "25m"}, "cba"),
        ({"since": "45m", "until": "15m"}, "dcb"),
        ({"direction": "outbound", "status": "!delivered", "to": "*@shop.example", "since": "1h"}, "dc"),
        ({"q": "status:deferred,delivery_failed to:*@shop.example since:2h -subject:straße"}, "c"),
        ({"q": "desk@example.com"}, "ba"),
        ({"q": "app@example.com -status:delivered"}, "dc"),
        ({"q": '"on fire"'}, "a"),
        ({"q": "invite -straße"}, "c"),
        ({"q": "!dmarc:fail direction:inbound"}, "a"),
        ({"q": "message_id:<two@bank.example>"}, "b"),
        ({"q": "reference:IT-42", "status": "processed"}, "a"),
        ({"q": 'template:"Customer invitation"'}, "c"),
        ({"q": "   "}, "edcba"),
        ({"q": "<two@bank.example>"}, "b"),
        ({"q": "two@bank.example"}, "b"),
        ({"q": "it-42"}, "a"),
        ({"q": "bank.example"}, "b"),
        ({"q": "@Bank.example"}, "b"),
        ({"q": "ann_a"}, "c"),
        ({"q": "Anna Partner <anna@partner.example>"}, "a"),
        ({"q": "Status:processed"}, "a"),
        ({"q": "message-id:<two@bank.example>"}, "b"),
        ({"q": "template:customer"}, "c"),
        ({"q": "printer OR straße"}, "da"),
        ({"q": "to:*@shop.example AND NOT (straße OR news)"}, "c"),
        ({"q": "attempts:>=1 direction:outbound"}, "edc"),
        ({"q": "size:>100MiB"}, ""),
        ({"q": "printer fire"}, "a"),
        ({"q": "-(printer OR invite)"}, "eb"),
        ({"status": "", "q": ""}, "edcba"),
    ],
)
def test_a_filter_finds_exactly_its_mail(log: Log, parameters: dict[str, str], expected: str) -> None:
    assert letters(log.search(**parameters)) == expected


@pytest.mark.parametrize(
    ("parameters", "field", "hint"),
    [
        ({"staus": "sent"}, "staus", "did you mean 'status'"),
        ({"status": "deliverd"}, "status", "did you mean 'delivered'"),
        ({"q": "colour:red"}, "q", "no filter 'colour'"),
        ({"q": '"open'}, "q", "quotation mark"),
        ({"since": "yesterday"}, "since", "no time"),
        ({"limit": "501"}, "limit", ""),
        ({"limit": "0"}, "limit", ""),
        ({"cursor": "zzz"}, "cursor", "not one of ours"),
        ({"direction": "sideways"}, "direction", "known: inbound, outbound"),
        ({"since": "1h", "until": "2h"}, "since", "is not before until"),
        ({"q": "a OR since:1h"}, "q", "whole search"),
        ({"mail_id": "x"}, "mail_id", "no mail_id"),
        ({"address": "a@b"}, "address", "no filter"),
    ],
)
def test_a_wrong_parameter_is_named(log: Log, parameters: dict[str, str], field: str, hint: str) -> None:
    answer = log.http.get("/api/v1/mails", params=parameters)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["field"] == field
    assert hint in error["message"]


def test_times_take_zones_and_an_unescaped_plus(log: Log) -> None:
    oldest = log.http.get("/api/v1/mails").json()["items"][-1]["received_at"]
    assert letters(log.search(until=oldest)) == ""  # `until` is not included
    assert letters(log.search(since=oldest)) == "edcba"  # `since` is
    shifted = oldest.replace("Z", " 00:00")
    assert letters(log.search(since=shifted)) == "edcba"


def test_an_item_has_every_field_of_the_contract(log: Log) -> None:
    item = log.http.get("/api/v1/mails", params={"status": "delivery_failed"}).json()["items"][0]
    wanted = (
        "mail_id recipient direction status terminal late reason detail from subject message_id reference channel stream "
        "template received_at updated_at size spf dkim dmarc bounce_type bounce_class smtp_code enhanced_code attempts "
        "raw_available expires_at"
    )
    assert set(wanted.split()) <= set(item)
    assert (item["bounce_type"], item["smtp_code"], item["attempts"], item["terminal"]) == ("hard", 550, 1, True)


def test_complete_until_is_what_the_sink_wrote(log: Log) -> None:
    now = clock.to_ms(clock.now())
    log.store.client.insert(
        "progress", [["log", 1_700_000_000_120, now]], column_names=["name", "complete_until", "written_at"]
    )
    assert log.http.get("/api/v1/mails").json()["complete_until"] == "2023-11-14T22:13:20.120Z"


def test_a_mail_is_told_whole(log: Log) -> None:
    mail_id = log.http.get("/api/v1/mails", params={"status": "delivered"}).json()["items"][0]["mail_id"]
    mail = log.http.get(f"/api/v1/mails/{mail_id}").json()
    assert [event["status"] for event in mail["events"]] == ["sent", "delivered"]
    assert [one["status"] for one in mail["recipients"]] == ["delivered"]
    attempt = mail["attempts"][0]
    assert (attempt["host"], attempt["ip"], attempt["command"], attempt["code"]) == (
        "mx.partner.example",
        "192.0.2.1",
        "RCPT",
        250,
    )


def test_a_mail_is_found_by_its_id_its_answer_and_its_codes(log: Log) -> None:
    mail_id = log.add(
        "full@shop.example", Status.DELIVERY_FAILED, age=timedelta(days=3), direction=OUT, subject="z full", from_="app@example.com",
        attempt=1, bounce=(BounceType.SOFT, BounceClass.MAILBOX_FULL), answer="5.2.2 The Mailbox is full", enhanced_code="5.2.2",
    )  # fmt: skip
    for pasted in (
        mail_id,
        mail_id.upper(),
        "mailbox full",
        "5.2.2",
        "550 mailbox",
        "full mx.partner.example",
        'smtp_text:"is full"',
    ):
        assert log.search(q=pasted) == ["z full"], pasted


def test_the_page_says_how_it_read_the_line_and_what_each_part_finds(log: Log) -> None:
    page = log.http.get("/", params={"q": "Processed nowhere.example"}).text
    assert "Read as:" in page and "status:processed nowhere.example" in page
    page = log.http.get("/", params={"q": "printer reference:IT-99", "direction": "inbound"}).text
    assert "Alone, each part finds:" in page
    assert re.search(r"<strong>1</strong> <bdi>subject, address, name, answer or host contain “printer”", page)
    assert re.search(r"<strong>0</strong> <bdi>reference is “IT-99”", page)
    assert re.search(r"<strong>2</strong> <bdi>direction is inbound", page)
    assert 'href="?q=printer&amp;direction=inbound"' in page or 'href="?direction=inbound&amp;q=printer"' in page
