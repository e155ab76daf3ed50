from itertools import pairwise

from contracts.settings import Smtp
from local.supervise import GRACE, LAST_GRACE, RESERVE, deadline


def test_each_rank_has_a_time_of_its_own_however_long_those_before_it_take() -> None:
    times = [0.0, *(deadline(number, 4) for number in range(3))]
    assert times[-1] == GRACE and all(later - sooner >= RESERVE - 1e-9 for sooner, later in pairwise(times))
    assert times[1] > Smtp().drain_timeout.total_seconds() + 1, "a receiver that drains must not be held to be hanging"


def test_all_of_it_is_over_within_ten_seconds() -> None:
    assert GRACE + LAST_GRACE < 10


def test_one_rank_alone_has_all_of_it() -> None:
    assert deadline(0, 1) == GRACE


def test_many_ranks_still_end_in_time_and_in_order() -> None:
    times = [deadline(number, 40) for number in range(39)]
    assert times == sorted(times) and times[0] > 0 and times[-1] == GRACE
