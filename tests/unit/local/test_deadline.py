from local.supervise import GRACE, deadline


def test_the_first_rank_may_take_most_of_the_time() -> None:
    assert [deadline(number, 4) for number in range(3)] == [5.0, 5.5, 6.0]


def test_one_rank_alone_has_all_of_it() -> None:
    assert deadline(0, 1) == GRACE


def test_many_ranks_still_end_in_time_and_in_order() -> None:
    times = [deadline(number, 40) for number in range(39)]
    assert times == sorted(times) and times[0] > 0 and times[-1] == GRACE
