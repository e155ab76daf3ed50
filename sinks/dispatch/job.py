"""One command on its way through a sink."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from contracts.events import Dispatch
from contracts.records import ConsumedRecord, Place, Record

Identity = tuple[str, str, str, int, int]  # mail_id, recipient, action, attempt, how often parked


@dataclass(eq=False)
class Job:
    """A command that was read and is not done. It is known by its identity; the offsets at which it was read are what to commit."""

    command: Dispatch
    source: ConsumedRecord
    lane: str = ""
    offsets: list[tuple[Place, int]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    irrevocable: bool = False  # something that cannot be taken back is under way: it must be let end
    taken_back: bool = False  # it must not begin any more: its command is given back, and somebody else may be doing it

    @property
    def key(self) -> str:
        """The key of its record: its destination, for what is delivered."""
        return (self.source.key or b"").decode("utf-8", "replace")

    def begin(self) -> None:
        """Something that cannot be taken back begins. CancelledError when the job was taken back: what it awaited may have swallowed that
        (`asyncio.wait_for` does where an answer comes in the same moment, https://github.com/python/cpython/issues/86296)."""
        if self.taken_back:
            raise asyncio.CancelledError
        self.irrevocable = True

    def take_back(self) -> None:
        """Cancel the job, unless something that cannot be taken back is under way."""
        if not self.irrevocable and self.task is not None:
            self.taken_back = True
            self.task.cancel()

    @property
    def place(self) -> Place:
        """Where it was read first."""
        return self.source.topic, self.source.partition

    @property
    def identity(self) -> Identity:
        """What tells it from every other: a second record of the same command has the same."""
        one = self.command
        return one.mail_id, one.recipient, one.action, one.attempt, one.parked


@dataclass(frozen=True)
class Done:
    """What a command's work came to."""

    records: list[Record]  # to publish: the report, and what is to be done next
    answered: bool = True  # False: nobody was there, so whatever else waits for this destination need not try at once
    why: str = ""  # who did not answer, in words
    too_fast: bool = False  # it asks for less at a time


class NotNow(Exception):
    """The command shall come back after so many seconds, untried; `why` in words."""

    def __init__(self, seconds: float, why: str) -> None:
        super().__init__(why)
        self.seconds = seconds
        self.why = why


# Does a command once, calls `begin` before the first thing that cannot be taken back, and is never called again for the same one
# unless it raised NotNow.
Work = Callable[[Job], Awaitable[Done]]
GiveUp = Callable[[Dispatch, str], list[Record]]  # what to publish about a command that crashed, and why
