"""From counts to rates and percentiles, and the buckets of a chart."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from console.answer_errors import Problem
from console.choose_buckets import MOST, STEPS, WANTED, buckets, choose_step, read_step, write_step
from console.compute_stats import percentile, points
from console.count_mails import Count

NOW = datetime(2026, 11, 3, 12, 34, 56, tzinfo=UTC)


def test_percentiles_are_exact_to_a_tenth() -> None:
    randomly = random.Random(7)
    times = sorted(max(1, int(randomly.lognormvariate(7, 2))) for _ in range(5000))
    counts: dict[int, int] = {}
    for ms in times:
        bucket = int(1 + 4 * math.log2(ms))  # as the column `latency_bucket`
        counts[bucket] = counts.get(bucket, 0) + 1
    for share in (0.5, 0.95, 0.99):
        assert percentile(counts, share) == pytest.approx(times[int(share * len(times))], rel=0.1)
    assert percentile({1: 10}, 0.99) == 1 and percentile({}, 0.5) == 0


def test_what_is_refused_or_under_way_counts_in_no_delivery_rate() -> None:
    counts = [Count(0, "", word, 1) for word in ("delivered", "failed", "rejected", "deferred", "sent", "dropped")]
    (point,) = points("delivery_rate", [*counts, Count(0, "", "forwarded", 2)]).values()
    assert (point.total, point.rate) == (4, 0.75)
    assert points("delivery_rate", [Count(0, "", "sent", 3)])[(0, "")].rate is None


def test_a_chart_has_a_readable_number_of_buckets_that_begin_on_the_clock() -> None:
    for span in (timedelta(minutes=30), timedelta(hours=1), timedelta(hours=24), timedelta(days=7), timedelta(days=21)):
        step = choose_step(NOW - span, NOW)
        made = buckets(NOW - span, NOW, step)
        assert 20 <= len(made) <= WANTED + 1 and all(one % step == 0 for one in made)
        assert made[0] <= (NOW - span).timestamp() < made[0] + step and made[-1] <= NOW.timestamp() <= made[-1] + step


@pytest.mark.parametrize("step", STEPS)
def test_a_bucket_is_read_as_it_is_written(step: int) -> None:
    assert read_step(write_step(step), NOW - timedelta(hours=2), NOW) == step


def test_a_bucket_makes_no_more_than_so_many() -> None:
    with pytest.raises(Problem, match=str(MOST)):
        read_step("1m", NOW - timedelta(days=1), NOW)
