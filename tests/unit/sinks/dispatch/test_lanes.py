"""No destination takes the others' turn: neither a slow one, nor one that is not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.dispatch import lanes
from sinks.dispatch.job import Job
from sinks.dispatch.lanes import (
    FIRST_LIMIT,
    NO_LIMITS,
    PATIENCE,
    SOON,
    WAITING_PROVEN,
    WAITING_UNPROVEN,
    Lanes,
    Limits,
    Park,
)
from tests.unit.sinks.dispatch.jobs import job


class World:
    """Lanes with a clock of their own, and what they started."""

    def __init__(self, slots: int = 20, per_lane: int = 10, tolerated: int = 0) -> None:
        self.now = 1000.0
        self.started: list[Job] = []
        self.lanes = Lanes(
            slots, per_lane, lambda failures: 60.0 * failures, self.started.append, tolerated, lambda: self.now
        )

    def take(self) -> Job:
        """One of those that were started."""
        return self.started.pop(0)

    def prove(self, lane: str, times: int = 20) -> None:
        for _ in range(times):
            assert self.lanes.offer(job(lane)) is True
            self.lanes.finish(self.take(), answered=True)


def test_lanes_take_turns() -> None:
    world = World(slots=4, per_lane=4)
    for name in ("big.test", "a.test", "b.test"):
        world.prove(name)
    for _ in range(10):
        world.lanes.offer(job("big.test"))
    for name in ("a.test", "b.test"):
        world.lanes.offer(job(name))
    for _ in range(3):
        world.lanes.finish(world.take(), answered=True)
    assert sorted(one.lane for one in world.started) == ["a.test", "b.test", "big.test", "big.test"]


def test_a_destination_begins_with_few_at_a_time_and_gets_more_as_it_answers() -> None:
    world = World()
    for _ in range(30):
        world.lanes.offer(job())
    assert len(world.started) == FIRST_LIMIT
    for _ in range(20):
        world.lanes.finish(world.take(), answered=True)
    assert len(world.started) == 10


def test_destinations_that_have_not_answered_never_take_all_slots() -> None:
    world = World(slots=20)
    world.prove("good.test")
    for number in range(50):
        for _ in range(5):
            world.lanes.offer(job(f"hole{number}.test"))
    assert len(world.started) == 10
    for _ in range(10):
        world.lanes.offer(job("good.test"))
    assert [one.lane for one in world.started].count("good.test") == 10


def test_who_did_not_answer_is_left_alone_and_what_waits_for_them_is_given_back() -> None:
    world = World()
    for _ in range(6):
        world.lanes.offer(job("hole.test"))
    given = world.lanes.finish(world.take(), answered=False, why="nobody there")
    assert [one.lane for one in given] == ["hole.test"] * 4 and world.lanes.waiting == 0
    assert world.lanes.offer(job("hole.test")) == Park(60.0, "nobody there")
    assert world.lanes.finish(world.take(), answered=False) == []  # it failed together with the first: that counts once
    world.now += 61
    for _ in range(3):
        assert world.lanes.offer(job("hole.test")) is True
    assert len(world.started) == 1  # one tries the door
    world.lanes.finish(world.take(), answered=False, why="still nobody")
    assert world.lanes.offer(job("hole.test")) == Park(120.0, "still nobody")
    world.now += 121
    world.lanes.offer(job("hole.test"))
    world.lanes.finish(world.take(), answered=True)
    assert world.lanes.offer(job("hole.test")) is True and world.lanes.rest_of("hole.test") is None


def test_a_few_failures_in_a_row_are_tolerated_where_it_may_be_the_mail() -> None:
    world = World(tolerated=2)
    for number in range(3):
        assert world.lanes.offer(job("desk")) is True, number
        world.lanes.finish(world.take(), answered=False)
    assert isinstance(world.lanes.offer(job("desk")), Park)


def test_a_slow_destination_keeps_what_it_can_serve_soon_and_the_rest_is_parked() -> None:
    world = World(per_lane=1)
    world.prove("slow.test", 2)
    taken = parked = 0
    for number in range(5000):
        if number % 5 == 0 and world.started:
            world.now += 1.0
            world.lanes.finish(world.take(), answered=True)  # one a second, while five come
        answer = world.lanes.offer(job("slow.test"))
        taken += answer is True
        parked += isinstance(answer, Park)
        assert world.lanes.waiting <= 2 * SOON
    assert taken and parked


def test_a_destination_that_gets_on_is_never_parked_but_asked_to_wait() -> None:
    world = World(per_lane=10)
    world.prove("fast.test")
    answers = []
    for number in range(20_000):
        world.now += 0.001
        answers.append(world.lanes.offer(job("fast.test")))
        if number % 2 and world.started:
            world.lanes.finish(world.take(), answered=True)  # 500 a second, 1000 come
    assert {True, False} == set(answers) and world.lanes.waiting <= WAITING_PROVEN


def test_a_destination_that_never_ends_its_first_mails_holds_up_the_partition_for_a_moment_only() -> None:
    world = World()
    answers = [world.lanes.offer(job("mute.test")) for _ in range(WAITING_UNPROVEN + 10)]
    assert answers[-1] is False
    world.now += PATIENCE + 1
    assert isinstance(world.lanes.offer(job("mute.test")), Park)


def test_waiting_jobs_can_be_taken_back_and_started_ones_abandoned() -> None:
    world = World(slots=1)
    jobs = [job(partition=number % 2) for number in range(6)]
    for one in jobs:
        world.lanes.offer(one)
    given = world.lanes.give_back(lambda one: one.place[1] == 1)
    assert given == [jobs[1], jobs[3], jobs[5]] and world.lanes.waiting == 2
    world.lanes.abandon(world.take())
    assert world.lanes.active == 1 and world.take() is jobs[2]


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["offer", "done", "silent", "abandon", "later"])), max_size=300
    )
)
def test_whatever_comes_the_limits_hold_and_nothing_is_forgotten(steps: list[tuple[int, str]]) -> None:
    world = World(slots=7, per_lane=3)
    inside: set[Job] = set()
    for number, step in steps:
        if step == "offer":
            one = job(f"d{number}.test")
            if world.lanes.offer(one) is True:
                inside.add(one)
        elif step == "later":
            world.now += 50.0
        elif world.started:
            one = world.started.pop(number % len(world.started))
            inside.discard(one)
            if step == "abandon":
                world.lanes.abandon(one)
            else:
                inside -= set(world.lanes.finish(one, answered=step == "done"))
        active = [one.lane for one in world.started]
        assert len(active) == world.lanes.active <= 7
        assert all(active.count(lane) <= 3 for lane in active)
        assert len(inside) == world.lanes.active + world.lanes.waiting
        idle = world.lanes.active == 0
        assert not (idle and world.lanes.waiting)


def test_a_new_lane_is_not_forgotten_with_the_idle_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST_LANES", 3)
    world = World()
    for number in range(10):
        assert world.lanes.offer(job(f"{number}.test")) is True
        assert len(world.lanes._lanes) <= 3
        world.lanes.finish(world.take(), answered=True)
    assert all(lane.active == 0 for lane in world.lanes._lanes.values())


def test_a_destination_that_asks_for_less_gets_half_and_then_more_again() -> None:
    world = World(slots=50, per_lane=16)
    world.prove("x.test", 30)
    for _ in range(40):
        world.lanes.offer(job("x.test"))
    assert len(world.started) == 16
    world.lanes.finish(world.take(), answered=True, too_fast=True)
    assert len(world.started) == 15  # no other one begins
    for _ in range(8):
        world.lanes.finish(world.take(), answered=True, too_fast=True)
    assert len(world.started) == 7
    for _ in range(30):
        world.lanes.finish(world.take(), answered=True)
    assert len(world.started) >= 1


def test_the_settings_of_one_destination_hold_for_it_alone() -> None:
    world = World(slots=50, per_lane=10)
    world.lanes = Lanes(
        50, 10, lambda failures: 60.0, world.started.append, clock=lambda: world.now,
        limits_of=lambda name: Limits(at_a_time=3) if name == "few.test" else NO_LIMITS,
    )  # fmt: skip
    for name in ("few.test", "many.test"):
        world.prove(name)
        for _ in range(20):
            world.lanes.offer(job(name))
    assert [one.lane for one in world.started].count("few.test") == 3
    assert [one.lane for one in world.started].count("many.test") == 10


def test_a_rate_holds_over_time_however_many_wait() -> None:
    world = World(slots=50, per_lane=10)
    world.lanes = Lanes(
        50, 10, lambda failures: 60.0, world.started.append, clock=lambda: world.now,
        limits_of=lambda name: Limits(per_minute=60),
    )  # fmt: skip
    began = 0
    for _ in range(9):
        world.lanes.offer(job("slow.test"))
    for _ in range(50):
        world.now += 0.1
        world.lanes.start_due()
        while world.started:
            began += 1
            world.lanes.finish(world.take(), answered=True)
    assert 5 <= began <= 6  # in five seconds, one a second
