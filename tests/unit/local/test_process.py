import pytest

from local.process import Backoff, Process, check, ending


def test_pauses_double_up_to_ten_seconds() -> None:
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_run_that_went_well_is_a_fresh_start() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.after(0.1)
    assert backoff.after(60) == 0.2
    assert backoff.after(0.1) == 0.4


def test_endings_are_told_in_words() -> None:
    assert ending(3) == "ended with exit code 3"
    assert ending(78) == "ended with exit code 78 (its configuration is wrong)"
    assert ending(-9) == "was killed by SIGKILL"


def test_stages_that_wait_for_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="wait for each other"):
        check([Process("a", ["true"], after=("b",)), Process("b", ["true"], after=("a",))])


def test_a_stage_that_waits_for_an_unknown_one_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        check([Process("a", ["true"], after=("typo",))])


def test_a_doubled_name_is_refused() -> None:
    with pytest.raises(ValueError, match="not unique"):
        check([Process("a", ["true"]), Process("a", ["true"])])
