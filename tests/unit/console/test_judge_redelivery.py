"""What can be redelivered, and what a person is told of the rest."""

from typing import Any

import pytest

from console.judge_redelivery import why_not
from contracts.rounds import MOST_ROUNDS

FAILED = {
    "source": None,
    "terminal": True,
    "status": "failed",
    "direction": "inbound",
    "raw_available": True,
    "size": 9,
    "reason": None,
}


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"status": "delivery_failed"},
        {"status": "skipped"},
        {"status": "dropped", "reason": "rule"},
        {"status": "dropped", "reason": "unmatched"},
        {"status": "rejected", "direction": "outbound"},
    ],
)
def test_what_did_not_arrive_can_be(item: dict[str, Any]) -> None:
    assert why_not({**FAILED, **item}, 3, suppressed=False) == ""


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"status": "delivered"}, "second copy"),
        ({"status": "processed"}, "second request"),
        ({"status": "deferred", "terminal": False}, "still being tried"),
        ({"status": "rejected"}, "its sender was told"),
        ({"raw_available": False}, "not kept any more"),
        ({"raw_available": False, "size": 0}, "before its message came"),
        ({"status": "dropped", "reason": "report"}, "unblocked since"),
        ({"source": "mx1"}, "mx1 delivers it"),
    ],
)
def test_what_cannot_be_says_why(item: dict[str, Any], why: str) -> None:
    assert why in why_not({**FAILED, **item}, 0, suppressed=False)


def test_a_suppressed_address_has_to_be_unblocked_first() -> None:
    assert "unblock it first" in why_not({**FAILED, "direction": "outbound"}, 0, suppressed=True)


def test_there_is_an_end_to_redelivering() -> None:
    assert "that is the most" in why_not(FAILED, MOST_ROUNDS, suppressed=False)
