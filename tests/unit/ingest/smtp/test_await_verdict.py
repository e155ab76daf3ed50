"""How long a sender waits for the verdict, and what ends the waiting."""

import asyncio
import time

from contracts import clock
from contracts.events import Verdict
from contracts.ids import new_mail_id
from ingest.smtp.await_verdict import VerdictWaiter

REFUSED = "550 5.7.26 DMARC failed"


def verdict(mail_id: str, reply: str) -> Verdict:
    return Verdict(mail_id=mail_id, reply=reply, decided_at=clock.now())


async def test_the_sender_hears_the_verdict_even_one_that_was_there_first() -> None:
    waiter = VerdictWaiter(0, timeout=5, misses=3)
    early, later = new_mail_id(), new_mail_id()
    expected, other = waiter.expect(early), waiter.expect(later)
    waiter.settle(verdict(early, REFUSED))
    assert await waiter.reply_for(early, expected) == REFUSED
    asyncio.get_running_loop().call_soon(waiter.settle, verdict(later, "250 2.0.0 ok"))
    assert await waiter.reply_for(later, other) == "250 2.0.0 ok"
    waiter.settle(verdict(later, REFUSED))  # one that nobody waits for any more changes nothing


async def test_time_outs_in_a_row_end_the_waiting_until_verdicts_come_in_time_again() -> None:
    waiter = VerdictWaiter(0, timeout=0.1, misses=2)
    for number in range(2):
        assert waiter.waiting, number
        mail_id = new_mail_id()
        assert await waiter.reply_for(mail_id, waiter.expect(mail_id)) is None
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
        assert await waiter.reply_for(heard, expected) == REFUSED
        assert await waiter.reply_for(unheard, other) is None
