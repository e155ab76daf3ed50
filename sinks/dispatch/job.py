"""One command on its way through a sink."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from contracts.events import Dispatch
from contracts.records import ConsumedRecord, Place, Record

Task = tuple[str, str, str, int]  # mail_id, recipient, action, round: all commands of one are steps of the same
Step = tuple[
    int, int
]  # attempt, how often parked: each command of a task has a higher one than the command that it came from


@dataclass(eq=False)
class Job:
    """A command that was read and is not done, known by its task and its step. The offsets at which it was read are what to commit."""

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
    def of(self) -> Task:
        """The task that it is a step of."""
        return self.command.mail_id, self.command.recipient, self.command.action, self.command.round

    @property
    def step(self) -> Step:
        """How far its task has come: a second record of the same command has the same."""
        return self.command.attempt, self.command.parked


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
