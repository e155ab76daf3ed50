import pytest

from sinks.dispatch.job import NotNow
from sinks.dispatch.limit_large import COPIES, LATER, PATIENT, LargeMessages

MIB = 1 << 20


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_small_messages_never_wait_and_one_alone_may_be_of_any_size() -> None:
    large = LargeMessages(COPIES * 10 * MIB)
    with large.hold(500 * MIB), large.hold(100_000), pytest.raises(NotNow, match="in hand"), large.hold(2 * MIB):
        pass
    with large.hold(2 * MIB):
        pass


def test_one_that_came_back_often_is_let_in_before_a_steady_flow_of_smaller_ones() -> None:
    clock = Clock()
    large = LargeMessages(COPIES * 10 * MIB, clock)
    with large.hold(4 * MIB):
        for parked in range(PATIENT + 1):
            with pytest.raises(NotNow, match="in hand"), large.hold(9 * MIB, parked):
                pass
        with pytest.raises(NotNow, match="has waited longer"), large.hold(4 * MIB):  # the flow goes on, and is held up
            pass
    with large.hold(9 * MIB, PATIENT + 1):
        pass
    with large.hold(4 * MIB):
        pass


def test_one_that_does_not_come_back_holds_up_nobody_for_long() -> None:
    clock = Clock()
    large = LargeMessages(COPIES * 10 * MIB, clock)
    with large.hold(4 * MIB):
        with pytest.raises(NotNow), large.hold(9 * MIB, PATIENT):
            pass
        clock.now += 2 * LATER + 1
        with large.hold(4 * MIB):
            pass
