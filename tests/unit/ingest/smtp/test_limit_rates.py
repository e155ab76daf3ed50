"""How often one peer may do something, and who counts as one peer."""

from ingest.smtp.limit_rates import RateLimit


def test_what_is_used_up_comes_back_evenly() -> None:
    limit = RateLimit(2, 10)
    assert [limit.take("a", now) for now in (0, 0, 0, 4.9, 5.1, 5.2)] == [True, True, False, False, True, False]
    assert limit.take("b", 0), "another key has its own"


def test_what_was_well_used_comes_back_at_once() -> None:
    limit = RateLimit(1, 1000)
    assert limit.take("a", 0) and limit.is_spent("a", 1)
    limit.give_back("a", now=1)
    limit.give_back("b", now=1)
    assert limit.take("a", 1) and not limit.take("a", 1)


def test_memory_is_bounded_whoever_comes() -> None:
    limit = RateLimit(1, 1000, most=10)
    assert all(limit.take(str(number), 0) for number in range(1000))
    assert len(limit) == 10 and not limit.take("999", 0)
