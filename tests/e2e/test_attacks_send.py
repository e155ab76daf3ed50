"""Attacks with a token of the scope `send`: what would freeze the process, and what would be signed for somebody else."""

import base64
from typing import Any

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.test_attacks_console import HELD_UP, watching_health

MAIL = {"from": "Desk <desk@ours.test>", "to": ["a@partner.test"], "subject": "x", "text": "x"}
FROM = b"From: desk@ours.test\r\n"
BANK = b"From: ceo@bank.test\r\n"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject": "ü " * 300_000}, "subject"),
        ({"headers": {"X-A": "a " * 500_000}}, "headers.X-A"),
        ({"headers": {"Sender": "ü " * 100_000 + "<desk@ours.test>"}}, "headers.Sender"),
        ({"headers": {f"X-{number}": "ü" * 50 for number in range(5000)}}, "headers"),
        ({"attachments": [{"name": "ü" * 200, "content": "eA=="}] * 5000}, "attachments"),
        ({"to": [f"a{number}@partner.test" for number in range(5000)]}, "to"),
        ({"bcc": [f"a{number}@partner.test" for number in range(5000)]}, "bcc"),
        ({"from": "ü" * 100_000 + " <desk@ours.test>"}, "from"),
        ({"reply_to": "ü" * 100_000 + " <desk@ours.test>"}, "reply_to"),
        ({"text": "\n" * 20_000_000}, "text"),
        ({"text": "a\0b"}, "text"),
        ({"subject": "a\0b"}, "subject"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value)[:30],
)
def test_what_costs_too_much_is_refused_by_its_field_and_holds_up_nobody(
    pipeline: Pipeline, changes: dict[str, Any], field: str
) -> None:
    with watching_health(pipeline) as took:
        answer = pipeline.post("/send", {**MAIL, **changes})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["field"] == field
    assert max(took) < HELD_UP


def test_the_largest_that_is_taken_holds_up_nobody(pipeline: Pipeline) -> None:
    changes = {
        "subject": "ü " * 1000, "headers": {f"X-{n}": "ü " * 300 for n in range(99)}, "bcc": [f"a{n}@partner.test" for n in range(50)],
        "attachments": [{"name": "ü" * 49, "content": "eA=="}] * 100,
    }  # fmt: skip
    with watching_health(pipeline) as took:
        answers = [pipeline.post("/send", {**MAIL, **changes}).status_code for _ in range(3)]
    assert answers == [202] * 3 and max(took) < HELD_UP


@pytest.mark.parametrize(
    "raw",
    [
        FROM + b"X: y\r\n" * 2100 + BANK,
        FROM + b"X: " + b"y" * 1_100_000 + b"\r\n" + BANK,
        FROM + BANK,
        b"\xef\xbb\xbf" + BANK + FROM,
        b"From\xc2\xa0: ceo@bank.test\r\n" + FROM,
        b"From\r\n : ceo@bank.test\r\n" + FROM,
        b" From: ceo@bank.test\r\n" + FROM,
        b"From : desk@ours.test\r\n",
        b"no field\r\n" + FROM,
        b"From ceo@bank.test Mon Nov 23 12:00:00 2026\r\n" + FROM,
        b"X: a\rFrom: ceo@bank.test\r\n" + FROM,
        b"X: a\x00b\r\n" + FROM,
        b"Authentication-Results: MX.ours.test 1; dmarc=pass header.from=bank.test\r\n" + FROM,
    ],
    ids=lambda raw: str(raw[:40]),
)
def test_a_message_that_reads_two_ways_is_not_signed(pipeline: Pipeline, raw: bytes) -> None:
    body = {"from": "desk@ours.test", "to": ["a@partner.test"], "raw": base64.b64encode(raw + b"\r\nx\r\n").decode()}
    answer = pipeline.post("/send", body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["field"] == "raw"
