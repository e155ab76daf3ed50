"""The content of a message: whatever its size and however its packets are cut, it is what the sender meant, or it is refused."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import Unavailable
from ingest.smtp import read_content, spool
from ingest.smtp.read_content import FREE, MEMORY, ContentReader, ContentRefused
from ingest.smtp.spool import Spool, SpoolFile
from runtime.budget_octets import OctetBudget

MAX = 8 << 20
NEXT = b"NOOP\r\n"  # what the client says after the message


def stuff(message: bytes) -> bytes:
    """The message as a client sends it."""
    return (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


async def feed(reader: asyncio.StreamReader, octets: bytes, size: int) -> None:
    for start in range(0, len(octets), size):
        reader.feed_data(octets[start : start + size])
        await asyncio.sleep(0)


class Case:
    """A reader that is fed in packets of a size, and a budget."""

    def __init__(self, folder: Path, memory: int = 64 << 20, max_size: int = MAX, patience: float = 60) -> None:
        self.budget = OctetBudget(memory)
        self.reader = asyncio.StreamReader(limit=1001)
        self.spool = Spool(folder / "spool", max_size)
        self.content = ContentReader(self.spool, max_size, patience)
        self.was_on_disk = False

    async def take(self, sent: bytes, packet: int = 60_000) -> bytes:
        feeding = asyncio.create_task(feed(self.reader, sent, packet))
        try:
            async with asyncio.timeout(5):
                return await self._take()
        finally:
            await feeding
            assert self.budget.used == 0 and self.spool._open == 0
            assert self.reader._limit == 1001  # type: ignore[attr-defined]

    async def _take(self) -> bytes:
        with self.budget.growing() as hold:
            found = await self.content.read(self.reader, hold)
            if isinstance(found, SpoolFile):
                self.was_on_disk = True
                found = await self.content.load(found, hold)
                assert self.budget.held == len(found)
            return found

    async def rest(self) -> bytes:
        return await self.reader.read(100)


def large(size: int) -> bytes:
    """A message of this many octets in lines that begin with a dot."""
    lines = b"".join(b".%07d is a line that begins with a dot\r\n" % number for number in range(size // 40 + 1))
    message = lines[: size - 2].removesuffix(b"\r").ljust(size - 2, b"x") + b"\r\n"
    assert len(message) == size
    return message


@pytest.mark.parametrize(
    "size",
    [2, 100, FREE - 5, FREE - 4, FREE - 3, FREE, FREE + 1, 3 * FREE, MEMORY - 5, MEMORY, MEMORY + 1, 3 * MEMORY, MAX],
)
async def test_a_message_of_any_size_arrives_as_it_is_and_what_follows_is_left(size: int, tmp_path: Path) -> None:
    case = Case(tmp_path)
    message = b"x" * (size - 2) + b"\r\n" if size < 1000 else large(size)
    assert await case.take(stuff(message) + NEXT) == message
    assert case.was_on_disk == (len(stuff(message)) + 2 > MEMORY + 5)
    assert await case.rest() == NEXT


async def test_without_memory_a_message_goes_to_disk_early_and_is_the_same(tmp_path: Path) -> None:
    case = Case(tmp_path, memory=MEMORY)  # no room to grow: a stream may have half of it
    message = large(5 * FREE)
    assert await case.take(stuff(message) + NEXT) == message
    assert case.was_on_disk and await case.rest() == NEXT


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(read_content, "FREE", 20)
    monkeypatch.setattr(read_content, "MEMORY", 40)
    monkeypatch.setattr(read_content, "PIECE", 7)
    yield


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(
    parts=st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"a", b"\r\n.", b".\r"]), min_size=15, max_size=60),
    packet=st.integers(1, 30),
)
async def test_no_cut_of_packets_and_pieces_changes_a_message(
    small_pieces: None, tmp_path: Path, parts: list[bytes], packet: int
) -> None:
    """Also one that looks like its own end, or like dots that were doubled, at every place where it can be cut."""
    message = b"".join(parts) + b"\r\n"
    case = Case(tmp_path)
    assert await case.take(stuff(message) + NEXT, packet) == message
    assert await case.rest() == NEXT


@pytest.mark.parametrize("length", range(40, 50))
async def test_the_end_is_found_wherever_a_piece_ends(small_pieces: None, tmp_path: Path, length: int) -> None:
    case = Case(tmp_path)
    message = b"a" * length + b"\r\n.\r\n..\r\n"
    assert await case.take(stuff(message) + NEXT, 3) == message
    assert case.was_on_disk and await case.rest() == NEXT


@pytest.mark.parametrize("size", [MAX + 1, MAX + 5000, 3 * MAX])
async def test_a_message_over_the_limit_is_read_to_its_end_and_refused(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(tmp_path)
    written = 0
    write = SpoolFile.write

    async def count(self: SpoolFile, octets: bytes) -> None:
        nonlocal written
        written += len(octets)
        await write(self, octets)

    monkeypatch.setattr(SpoolFile, "write", count)
    with pytest.raises(ContentRefused, match=f"552 5.3.4 The message is larger than {MAX} octets"):
        await case.take(stuff(large(size)) + NEXT)
    assert await case.rest() == NEXT and written <= MAX


async def test_memory_is_given_back_once_the_rest_goes_to_disk(tmp_path: Path) -> None:
    """A sender that stops in the middle of a large message keeps nothing but its file."""
    case = Case(tmp_path)
    await feed(case.reader, large(2 * MEMORY), 60_000)
    with case.budget.growing() as hold:
        reading = asyncio.create_task(case.content.read(case.reader, hold))
        async with asyncio.timeout(20):
            while case.reader._buffer or case.spool._open == 0:  # type: ignore[attr-defined]
                await asyncio.sleep(0.001)
            while case.budget.used:
                await asyncio.sleep(0.001)
        reading.cancel()
        await asyncio.wait([reading])


async def test_a_small_limit_holds_in_memory_too(tmp_path: Path) -> None:
    case = Case(tmp_path, max_size=10_000)
    with pytest.raises(ContentRefused, match=r"552 5\.3\.4"):
        await case.take(stuff(large(10_001)) + NEXT)
    assert await case.rest() == NEXT


async def test_a_message_that_finds_no_memory_for_long_is_to_come_back(tmp_path: Path) -> None:
    case = Case(tmp_path, patience=0.05)
    message = large(2 * MEMORY)
    async with case.budget.hold(case.budget.limit):
        feeding = asyncio.create_task(feed(case.reader, stuff(message) + NEXT, 60_000))
        with case.budget.growing() as hold:
            file = await case.content.read(case.reader, hold)
            assert isinstance(file, SpoolFile)
            with pytest.raises(ContentRefused, match=r"452 4\.3\.1"):
                await case.content.load(file, hold)
        await feeding
    assert await case.rest() == NEXT
    assert case.budget.used == 0 and case.spool._open == 0


async def test_a_disk_without_room_refuses_the_large_and_takes_the_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = spool.MIN_FREE + MAX
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))
    message = large(2 * MEMORY)
    case = Case(tmp_path)
    assert await case.take(stuff(message)) == message
    free -= 1
    with pytest.raises(ContentRefused, match=r"452 4\.3\.1"):
        await case.take(stuff(message) + NEXT)
    assert await case.rest() == NEXT
    assert await case.take(stuff(large(MEMORY // 2))) == large(MEMORY // 2)


async def test_what_others_are_writing_counts_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=spool.MIN_FREE + 2 * MAX))
    folder = Spool(tmp_path, MAX)
    first, second = folder.open(), folder.open()
    with pytest.raises(Unavailable, match="octets are free"):
        folder.open()
    first.close()
    folder.open().close()
    second.close()


async def test_a_disk_that_fails_while_writing_refuses_and_stays_in_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: SpoolFile, octets: bytes) -> None:
        raise Unavailable("spool", "No space left on device")

    case = Case(tmp_path)
    monkeypatch.setattr(SpoolFile, "write", fail)
    with pytest.raises(ContentRefused, match=r"452 4\.3\.1"):
        await case.take(stuff(large(4 * MEMORY)) + NEXT)
    assert await case.rest() == NEXT


async def test_a_sender_that_goes_away_leaves_nothing(tmp_path: Path) -> None:
    case = Case(tmp_path)
    await feed(case.reader, large(2 * MEMORY), 60_000)
    with case.budget.growing() as hold:
        reading = asyncio.create_task(case.content.read(case.reader, hold))
        while case.spool._open == 0:
            await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert case.budget.used == 0 and case.spool._open == 0
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_file_has_no_name(tmp_path: Path) -> None:
    """Whatever kills the process, nothing is left to be cleaned."""
    file = Spool(tmp_path, MAX).open()
    await file.write(b"octets")
    assert list(tmp_path.iterdir()) == [] and await file.read() == b"octets"
    file.close()
    file.close()
