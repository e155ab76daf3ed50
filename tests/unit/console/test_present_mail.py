from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console.present_mail import ITEM_COLUMNS, present_attempts, present_event, present_item
from contracts.settings import Settings

RECEIVED = datetime(2026, 11, 3, 12, 0, 0, 120_000)  # the engine gives naive UTC
SETTINGS = Settings.model_validate({"store": {"retention": "21d", "raw_retention": "7d"}})


def row(**values: Any) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(ITEM_COLUMNS.replace(",", " ").split(), "")
    return {
        **empty, "received_at": RECEIVED, "updated_at": RECEIVED, "size": 10, "terminal": 1, "late": 0, "attempts": 0,
        "smtp_code": 0, "next_attempt_at": None, **values,
    }  # fmt: skip


def test_times_are_rfc_3339_with_milliseconds() -> None:
    item = present_item(row(next_attempt_at=RECEIVED), SETTINGS, RECEIVED.replace(tzinfo=UTC))
    assert item["received_at"] == item["next_attempt_at"] == "2026-11-03T12:00:00.120Z"
    assert item["expires_at"] == "2026-11-24T12:00:00.120Z"


def test_what_is_not_known_is_null() -> None:
    item = present_item(row(), SETTINGS, RECEIVED.replace(tzinfo=UTC))
    assert (item["reason"], item["from"], item["smtp_code"], item["bounce_type"]) == (None, None, None, None)
    assert (item["subject"], item["terminal"], item["late"]) == ("", True, False)


@pytest.mark.parametrize(("size", "age", "available"), [(10, 6, True), (10, 8, False), (0, 1, False)])
def test_the_message_is_there_for_as_long_as_it_is_kept(size: int, age: int, available: bool) -> None:
    now = RECEIVED.replace(tzinfo=UTC) + timedelta(days=age)
    assert present_item(row(size=size), SETTINGS, now)["raw_available"] is available


def test_a_line_of_the_timeline_leaves_out_what_the_mail_says() -> None:
    event = {
        "status": "sent",
        "occurred_at": "2026-11-03T12:00:00Z",
        "mail": {},
        "raw": {},
        "headers": [],
        "auth": None,
        "attempts": [],
    }
    assert present_event(event) == {"status": "sent", "occurred_at": "2026-11-03T12:00:00.000Z"}


def test_attempts_know_their_recipient() -> None:
    event = {"recipient": "a@b", "attempts": [{"started_at": "2026-11-03T12:00:00.5Z", "number": 1}]}
    (attempt,) = present_attempts(event)
    assert attempt == {
        "started_at": "2026-11-03T12:00:00.500Z",
        "number": 1,
        "recipient": "a@b",
        "next_attempt_at": None,
    }
