"""A command that is put back comes again untried, and the log says why it waits."""

from datetime import timedelta

import pytest

from contracts import clock
from contracts.codec import decode
from contracts.events import AttemptReport, Dispatch
from processors.settle import settle
from sinks.dispatch.park import park, rest_after
from tests.unit.sinks.dispatch.jobs import command

DELAYS = [timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=2)]
NAMES = ["1m", "5m", "2h"]


@pytest.mark.parametrize(
    ("seconds", "topic", "waits"),
    [(5, "1m", 5), (60, "1m", 60), (299, "1m", 60), (300, "5m", 300), (3600, "5m", 300), (9000, "2h", 7200)],
)
def test_it_waits_about_as_long_as_it_must_in_the_topic_that_fits(seconds: float, topic: str, waits: float) -> None:
    now = clock.now()
    again, _ = park(command(), "x.test", seconds, "busy", now, DELAYS, NAMES, spread=0)
    assert (again.topic, again.key) == (f"mail.dispatch.retry.{topic}", "x.test")
    parked = decode(again.value, Dispatch)
    assert parked.not_before == now + timedelta(seconds=waits)
    assert (parked.attempt, parked.parked) == (1, 1)


def test_the_log_says_why_once_and_counts_no_attempt() -> None:
    _, told = park(command(), "x.test", 60, "mx.x.test did not answer", clock.now(), DELAYS, NAMES)
    event = settle(decode(told.value, AttemptReport))
    assert (event.status, event.attempt, event.attempts) == ("deferred", 0, [])
    assert event.detail == "not tried yet: mx.x.test did not answer" and event.next_attempt_at is not None
    for more in (command(parked=1), command(attempt=2)):
        assert len(park(more, "x.test", 60, "busy", clock.now(), DELAYS, NAMES)) == 1


def test_a_destination_rests_a_little_less_than_the_retry_and_never_for_hours() -> None:
    assert [rest_after(failures, DELAYS) for failures in (1, 2, 3, 9)] == [54, 270, 540, 540]
