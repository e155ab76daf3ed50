"""A subscriber that fails as a whole is told from an event that it does not like."""

from contracts.subscriptions import CallOutcome
from sinks.subscriptions.keep_health import TOLERATED, Health

DELAYS = [1.0, 5.0, 100.0]


def new(**known: bool) -> Health:
    return Health(DELAYS, 20.0, failing=known.get("failing", False), paused=known.get("paused", False))


def test_one_event_that_is_refused_for_ever_counts_and_is_no_failing_subscriber() -> None:
    health = new()
    assert all(health.failed(CallOutcome.REFUSED, "poison", False, now) for now in range(20))
    assert not health.failing


def test_several_events_refused_and_none_taken_count_no_more() -> None:
    health = new()
    counted = [health.failed(CallOutcome.REFUSED, str(number), False, 0.0) for number in range(TOLERATED)]
    assert counted == [True] * (TOLERATED - 1) + [False] and health.failing


def test_a_taken_event_between_shows_that_the_events_are_to_blame() -> None:
    health = new()
    for number in range(10):
        assert health.failed(CallOutcome.REFUSED, str(number), False, 0.0)
        health.took()
    assert not health.failing


def test_one_that_is_away_is_tried_at_longer_and_longer_intervals_and_no_call_of_a_round_lengthens_them() -> None:
    health, tries, now = new(), [], 0.0
    for _ in range(TOLERATED):
        health.failed(CallOutcome.AWAY, "one", False, now)
    for _ in range(4):
        tries.append(health.next_try - now)
        now = health.next_try
        for event in ("one", "two"):
            assert not health.failed(CallOutcome.AWAY, event, False, now)
    assert tries == [1.0, 5.0, 20.0, 20.0]  # never rarer than a paused one
    health.took()
    assert not health.failing


def test_an_event_that_fails_while_others_are_taken_counts_though_the_subscriber_seems_away() -> None:
    health = new(failing=True)
    assert health.failed(CallOutcome.AWAY, "poison", True, 0.0)


def test_gone_is_failing_at_once_and_a_pause_is_tried_rarely() -> None:
    health = new()
    assert not health.failed(CallOutcome.GONE, "one", False, 0.0) and health.failing
    health.pause(0.0)
    assert health.next_try == 20.0
    health.failed(CallOutcome.AWAY, "one", False, 20.0)
    assert health.next_try == 40.0
    health.try_now()
    assert health.next_try == 0.0


def test_what_was_failing_before_a_restart_is_tried_at_once() -> None:
    assert new(failing=True, paused=True).next_try == 0.0
