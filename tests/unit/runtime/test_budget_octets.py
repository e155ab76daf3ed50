"""A bound on memory that many tasks share: never more than the limit, served in turn, and nobody waits for ever."""

import asyncio
import random

import pytest

from runtime.budget_octets import Hold, OctetBudget


async def turn() -> None:
    """Let every task go on as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


class Tasks:
    """Tasks that hold until they are told to end; `began` tells in which order they were served."""

    def __init__(self, budget: OctetBudget) -> None:
        self.budget = budget
        self.began: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str, octets: int, budget: OctetBudget | None = None) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._run(name, octets, budget or self.budget))
        await turn()

    async def _run(self, name: str, octets: int, budget: OctetBudget) -> None:
        async with budget.hold(octets):
            self.began.append(name)
            await self._ends[name].wait()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await turn()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await turn()


async def test_a_task_waits_while_there_is_no_room_and_in_turn() -> None:
    tasks = Tasks(OctetBudget(100))
    await tasks.start("a", 60)
    await tasks.start("b", 60)
    await tasks.start("small", 10)  # it would fit, but it came later
    assert tasks.began == ["a"] and tasks.budget.waiting == 2
    await tasks.end("a")
    assert tasks.began == ["a", "b", "small"] and tasks.budget.used == 70
    await tasks.end("b")
    await tasks.end("small")
    assert tasks.budget.used == 0


async def test_a_request_larger_than_the_limit_is_served_alone() -> None:
    tasks = Tasks(OctetBudget(100))
    await tasks.start("a", 10)
    await tasks.start("huge", 500)
    await tasks.start("b", 10)
    assert tasks.began == ["a"]
    await tasks.end("a")
    assert tasks.began == ["a", "huge"]
    await tasks.end("huge")
    assert tasks.began == ["a", "huge", "b"]


async def test_who_gives_up_waiting_lets_those_behind_go_on_and_leaves_nothing_taken() -> None:
    tasks = Tasks(OctetBudget(100))
    await tasks.start("a", 60)
    await tasks.start("b", 60)
    await tasks.start("c", 30)
    await tasks.cancel("b")
    assert tasks.began == ["a", "c"]
    await tasks.end("a")
    await tasks.end("c")
    assert (tasks.budget.used, tasks.budget.waiting) == (0, 0)


async def test_who_is_cancelled_in_the_moment_of_being_served_gives_back() -> None:
    budget = OctetBudget(100)
    with budget.growing() as first:
        await first.exchange(100)
        waiter = asyncio.create_task(Tasks(budget)._run("x", 100, budget))
        await turn()
        first.give_back()  # serves the waiter, which has not run yet
        assert budget.held == 100
        waiter.cancel()
        await turn()
    assert budget.used == 0


async def test_a_stream_grows_into_half_of_the_limit_and_never_past_somebody_who_waits() -> None:
    budget = OctetBudget(100)
    tasks = Tasks(budget)
    with budget.growing() as one, budget.growing() as other:
        assert one.try_grow(10) and one.try_grow(40) and one.octets == 40
        assert not other.try_grow(20) and other.octets == 0
        assert other.try_grow(10) and budget.used == 50
        await tasks.start("a", 50)  # half is left to those who stand in line
        assert tasks.began == ["a"]
        await tasks.start("b", 50)
        one.give_back()
        assert not other.try_grow(15)  # b waits still
        await tasks.end("a")
        assert tasks.began == ["a", "b"] and other.try_grow(15)
        await tasks.end("b")
    assert budget.used == 0


async def test_slow_streams_hold_up_nobody_however_large() -> None:
    budget = OctetBudget(100)
    with budget.growing() as slow:
        assert slow.try_grow(50)
        async with asyncio.timeout(1), budget.hold(90):
            assert budget.used == 140  # at most half of the limit beside one request that is larger than the other half


async def test_streams_that_all_want_more_do_not_wait_for_each_other() -> None:
    """Each of ten holds a part and needs more than is left: as each gives back before it waits, all come through."""
    budget = OctetBudget(100)
    most = 0

    async def stream() -> None:
        nonlocal most
        with budget.growing() as hold:
            hold.try_grow(5)
            await asyncio.sleep(0)
            await hold.exchange(40)
            most = max(most, budget.used)
            await asyncio.sleep(0.001)

    async with asyncio.timeout(5):
        await asyncio.gather(*(stream() for _ in range(10)))
    assert budget.used == 0 and 40 <= most <= 100


async def test_the_share_of_one_client_leaves_the_rest_to_others() -> None:
    whole = OctetBudget(100)
    greedy, modest = OctetBudget(30, within=whole), OctetBudget(30, within=whole)
    tasks = Tasks(whole)
    for name in "abc":
        await tasks.start(f"greedy-{name}", 25, greedy)
    await tasks.start("modest", 25, modest)
    assert tasks.began == ["greedy-a", "modest"] and whole.used == 50
    with greedy.growing() as stream:
        assert not stream.try_grow(10)
    await tasks.cancel("greedy-b")
    await tasks.end("greedy-a")
    assert tasks.began == ["greedy-a", "modest", "greedy-c"]
    await tasks.cancel("greedy-c")
    await tasks.end("modest")
    assert (whole.used, greedy.used, modest.used) == (0, 0, 0)


async def test_a_share_that_is_cancelled_while_the_whole_is_full_is_free_again() -> None:
    whole = OctetBudget(100)
    share = OctetBudget(50, within=whole)
    async with whole.hold(100):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), share.hold(50):
                pass
        assert share.used == 0 and whole.waiting == 0


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_tasks_do_the_bound_holds_and_all_end(seed: int) -> None:
    chance = random.Random(seed)
    whole = OctetBudget(100)
    shares = [OctetBudget(chance.choice([30, 60, 100]), within=whole) for _ in range(3)]

    async def live(hold: Hold) -> None:
        for _ in range(chance.randrange(5)):
            hold.try_grow(chance.randrange(60))
            assert whole.used <= 100
            await asyncio.sleep(0)
        await hold.exchange(chance.randrange(1, 50))
        assert whole.used <= 100
        await asyncio.sleep(chance.choice([0, 0, 0.0005]))

    async def task() -> None:
        with chance.choice(shares).growing() as hold:
            async with asyncio.timeout(chance.choice([0.0002, 5])):
                await live(hold)

    async with asyncio.timeout(10):
        results = await asyncio.gather(*(task() for _ in range(200)), return_exceptions=True)
    assert all(result is None or isinstance(result, TimeoutError) for result in results), results
    assert results.count(None) > 20
    assert [budget.used for budget in (whole, *shares)] == [0, 0, 0, 0] and whole.waiting == 0
