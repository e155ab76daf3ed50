import asyncio
import tracemalloc

import pytest

from console import keep_bodies
from console.keep_bodies import KeptBodies
from mail.read_body import Attachment, Body


class Message:
    """Counts how often it is taken apart, ."""

    def __init__(self, size: int = 1000) -> None:
        self.times = 0
        self.size = size

    async def take_apart(self) -> Body:
        self.times += 1
        await asyncio.sleep(0.01)
        return Body(attachments=(Attachment("", "image/png", "x", b"x" * self.size),))


async def test_a_thousand_pictures_of_one_mail_take_it_apart_once() -> None:
    kept, message = KeptBodies(), Message()
    bodies = await asyncio.gather(*(kept.get("a", message.take_apart) for _ in range(1000)))
    assert message.times == 1 and len({id(body) for body in bodies}) == 1


async def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    kept, messages = KeptBodies(), [Message(keep_bodies.KEPT // 3 - 10_000) for _ in range(4)]
    for number, message in enumerate(messages):
        await kept.get(str(number), message.take_apart)
    for number in (3, 2, 1, 0):
        await kept.get(str(number), messages[number].take_apart)
    assert [message.times for message in messages] == [2, 1, 1, 1]


async def test_what_is_too_large_to_be_kept_is_taken_apart_one_at_a_time() -> None:
    kept, message = KeptBodies(), Message(keep_bodies.KEPT + 1)
    at_once = most = 0

    async def take_apart() -> Body:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            return await message.take_apart()
        finally:
            at_once -= 1

    await asyncio.gather(*(kept.get("a", take_apart) for _ in range(5)))
    assert (message.times, most) == (5, 1)


async def test_after_a_while_it_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep_bodies, "SECONDS", 0.05)
    kept, message = KeptBodies(), Message()
    await kept.get("a", message.take_apart)
    await asyncio.sleep(0.1)
    await kept.get("a", message.take_apart)
    assert message.times == 2


async def test_what_had_to_go_is_in_memory_no_more() -> None:
    kept = KeptBodies()
    tracemalloc.start()
    try:
        for number in range(6):
            await kept.get(str(number), Message(keep_bodies.KEPT // 2 - 10_000).take_apart)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1.2 * keep_bodies.KEPT


async def test_messages_without_content_are_bounded_as_well() -> None:
    kept = KeptBodies()
    for number in range(keep_bodies.KEPT // keep_bodies.OBJECT + 10):
        kept._keep(str(number), Body())
    assert len(kept._kept) <= keep_bodies.KEPT // keep_bodies.OBJECT
