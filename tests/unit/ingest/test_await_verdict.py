"""How long a sender waits for the verdict, and what ends the waiting."""

import asyncio
import time

from contracts import clock
from contracts.events import Verdict
from contracts.ids import new_mail_id
from ingest.await_verdict import VerdictWaiter, own_partition

NOW = clock.now()
REFUSED = "550 5.7.26 DMARC failed"


def verdict(mail_id: str, reply: str) -> Verdict:
    return Verdict(mail_id=mail_id, reply=reply, decided_at=NOW)


async def test_the_sender_hears_the_verdict_even_one_that_was_there_first() -> None:
    waiter = VerdictWaiter(0, timeout=5, misses=3)
    early, later = new_mail_id(), new_mail_id()
    expected, other = waiter.expect(early), waiter.expect(later)
    waiter.settle(verdict(early, REFUSED))
    assert await waiter.verdict_on(early, expected) == verdict(early, REFUSED)
    asyncio.get_running_loop().call_soon(waiter.settle, verdict(later, "250 2.0.0 ok"))
    assert await waiter.verdict_on(later, other) == verdict(later, "250 2.0.0 ok")
    waiter.settle(verdict(later, REFUSED))  # one that nobody waits for any more changes nothing


async def test_time_outs_in_a_row_end_the_waiting_until_verdicts_come_in_time_again() -> None:
    waiter = VerdictWaiter(0, timeout=0.1, misses=2)
    for number in range(2):
        assert waiter.waiting, number
        mail_id = new_mail_id()
        assert await waiter.verdict_on(mail_id, waiter.expect(mail_id)) is None
    assert not waiter.waiting
    late = new_mail_id()
    time.sleep(0.06)
    waiter.settle(verdict(late, REFUSED))
    assert not waiter.waiting
    waiter.settle(verdict(new_mail_id(), REFUSED))
    assert waiter.waiting


async def test_a_process_that_leaves_lets_everybody_go_who_still_waits() -> None:
    waiter = VerdictWaiter(0, timeout=30, misses=1)
    heard, unheard = new_mail_id(), new_mail_id()
    expected, other = waiter.expect(heard), waiter.expect(unheard)
    waiter.leave(0.05)
    assert not waiter.waiting  # nobody begins to wait
    waiter.settle(verdict(heard, REFUSED))
    async with asyncio.timeout(2):
        assert await waiter.verdict_on(heard, expected) == verdict(heard, REFUSED)
        assert await waiter.verdict_on(unheard, other) is None


def test_receivers_without_a_name_are_spread() -> None:
    """Two of the same machine would otherwise read, and throw away, the other's verdicts."""
    assert {own_partition(None, 4) for _ in range(200)} == {0, 1, 2, 3}


def test_receivers_with_names_that_end_in_a_number_read_that_partition() -> None:
    assert [own_partition(f"smtp-{number}", 4) for number in (1, 2, 3, 4, 5)] == [1, 2, 3, 0, 1]
    assert {own_partition("receiver", 4) for _ in range(50)} == {sum(b"receiver") % 4}
