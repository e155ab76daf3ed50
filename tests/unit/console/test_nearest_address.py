"""Which address was probably meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.nearest_address import configured_addresses, distance, nearest_address
from contracts.settings import Settings

KNOWN = ["support@example.com", "sales@example.com", "hr@example.com", "office@example.com", "support@other.test"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("suport@example.com", "support@example.com"),
        ("SUPPROT@Example.com", "support@example.com"),  # neighbours swapped
        ("supports@example.com", "support@example.com"),
        ("sapport@example.com", "support@example.com"),
        ("sale@example.com", "sales@example.com"),
        ("hrr@example.com", ""),  # of two letters none may be wrong
        ("jon.smith@example.com", ""),
        ("suport@third.test", ""),  # nothing in that domain
        ("support@example.com", ""),  # it is one of ours
        ("", ""),
    ],
)
def test_the_address_that_differs_least_is_meant(written: str, meant: str) -> None:
    assert nearest_address(written, KNOWN) == meant


def test_two_that_are_equally_near_are_no_answer() -> None:
    assert nearest_address("team-c@x.test", ["team-a@x.test", "team-b@x.test"]) == ""


@given(st.text("abc", max_size=8), st.text("abc", max_size=8), st.integers(0, 4))
def test_a_distance_is_the_same_both_ways_and_bounded(one: str, other: str, most: int) -> None:
    found = distance(one, other, most)
    assert found == distance(other, one, most)
    assert found is None or abs(len(one) - len(other)) <= found <= most
    assert (found == 0) == (one == other)


def test_only_whole_addresses_that_take_mail_are_proposed() -> None:
    settings = Settings.model_validate(
        {
            "inbound": {
                "domains": {"example.com": {}},
                "routes": [
                    {"match": {"to": "help@example.com"}, "drop": "no"},
                    {"match": {"to": "spam@example.com"}, "reject": "550 5.7.1 no"},
                    {"match": {"to": "*@example.com"}, "drop": "no"},
                ],
                "reports": ["fbl@example.com"],
            },
            "channels": {"a": {"address": "help@example.com"}, "b": {"address": "*@example.com"}},
        }
    )
    assert configured_addresses(settings) == ["help@example.com", "fbl@example.com"]
