"""Advice names whose turn it is: of a bounce the recipient's side, of a forward and a handler ours."""

from typing import Any

import pytest

from console.advise import OF_CLASS_TURN, OF_REASON_TURN, TITLES, Turn, advise
from contracts.statuses import BounceClass, Reason


def item(reason: str | None, bounce: str | None = None, **values: Any) -> dict[str, Any]:
    known = {
        "direction": "outbound",
        "status": "delivery_failed",
        "attempts": 1,
        "reason": reason,
        "bounce_class": bounce,
    }
    return {**known, **values}


def test_every_reason_and_class_has_a_turn_and_every_turn_a_title() -> None:
    assert set(OF_REASON_TURN) == set(Reason) and set(OF_CLASS_TURN) == set(BounceClass) and set(TITLES) == set(Turn)
    for direction in ("inbound", "outbound"):
        for reason in Reason:
            for bounce in (None, *BounceClass):
                found = advise(item(reason, bounce, direction=direction))
                assert found is not None and found.text.endswith(".") and found.title


@pytest.mark.parametrize(
    ("row", "turn", "said"),
    [
        (item("invalid_address", "invalid_recipient"), Turn.RECIPIENT, "check the address with the recipient"),
        (item("provider_rejected", "reputation_blocked"), Turn.US, "is listed"),
        (item("invalid_address", "invalid_recipient", direction="inbound"), Turn.US, "correct the route"),
        (item("provider_rejected", "mailbox_full", direction="inbound"), Turn.US, "whoever reads it"),
        (
            item("destination_unavailable", direction="inbound", status="deferred"),
            Turn.US,
            "Our own application does not take it",
        ),
        (item("expired", direction="inbound", status="failed"), Turn.US, "re-run the mail"),
        (item("destination_unavailable", "connection_failed", status="deferred"), Turn.NOBODY, "tried again"),
        (item("suppressed", "suppressed", status="rejected"), Turn.US, "remove it from the suppression list"),
        (item("dmarc_reject", direction="inbound", status="rejected"), Turn.SENDER, "could not be verified"),
    ],
)
def test_it_is_the_turn_of_who_can_do_something(row: dict[str, Any], turn: Turn, said: str) -> None:
    found = advise(row)
    assert found is not None and found.turn is turn and said in found.text


def test_where_nothing_is_wrong_or_the_word_is_a_later_one_there_is_no_advice() -> None:
    assert advise(item(None)) is None and advise(item("of_next_year")) is None
    assert advise(item("expired", "of_next_year")) is not None
