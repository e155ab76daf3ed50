"""The events that a process has read for one subscriber and that are not done: those never tried, those being tried, and those that wait
to be tried again. Times are seconds of one clock that only goes on."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from contracts.events import StatusChange
from contracts.records import ConsumedRecord, Place

MOST_EVENTS = 1000
MOST_OCTETS = 8 << 20
MOST_UNTRIED = 200  # beyond one read


@dataclass(eq=False)
class Event:
    """One change of status."""

    id: str
    change: StatusChange
    source: ConsumedRecord
    attempts: int = 0  # calls that were made for it
    tries: int = 0  # of these, what counts against it
    due: float = 0.0  # when it may be tried again, unless its subscriber fails as a whole
    tried_at: float = 0.0
    taken_before: int = 0  # how many calls the subscriber had taken when this was tried

    @property
    def place(self) -> Place:
        """Its partition."""
        return self.source.topic, self.source.partition


class HeldEvents:
    """Bounded: whoever reads stops reading while it is `full`."""

    def __init__(self) -> None:
        self.untried: deque[Event] = deque()
        self.waiting: set[Event] = set()
        self.calling: set[Event] = set()
        self._octets = 0

    def add(self, event: Event) -> None:
        """It was read."""
        self.untried.append(event)
        self._octets += event.source.size

    def done(self, event: Event) -> None:
        """It needs no more calls."""
        self.calling.discard(event)
        self.waiting.discard(event)
        self._octets -= event.source.size

    def take(self, now: float) -> Event | None:
        """The next one to call for: one whose time has come again, else one that was never tried."""
        due = [event for event in self.waiting if event.due <= now]
        event = min(due, key=lambda one: (one.due, one.tried_at)) if due else None
        return self._begin(event) if event is not None else self.take_untried()

    def take_untried(self) -> Event | None:
        """The next one that was never tried."""
        return self._begin(self.untried[0]) if self.untried else None

    def take_rested(self) -> Event | None:
        """The one that was tried longest ago, due or not."""
        event = self.longest_waiting()
        return self._begin(event) if event is not None else None

    def longest_waiting(self, place: Place | None = None) -> Event | None:
        """Of those that wait (of one partition, or of all), the one that was tried longest ago."""
        found = (event for event in self.waiting if place is None or event.place == place)
        return min(found, key=lambda one: one.tried_at, default=None)

    def _begin(self, event: Event) -> Event:
        if self.untried and self.untried[0] is event:
            self.untried.popleft()
        self.waiting.discard(event)
        self.calling.add(event)
        return event

    def rest(self, event: Event) -> None:
        """It is tried again later."""
        self.calling.discard(event)
        self.waiting.add(event)

    def give_back(self, places: set[Place]) -> None:
        """Forget what is not being tried of these partitions: whoever owns them next reads it again."""
        for event in [one for one in self if one.place in places and one not in self.calling]:
            self.waiting.discard(event)
            self._octets -= event.source.size
        self.untried = deque(one for one in self.untried if one.place not in places)

    def is_full(self, share: int = 1) -> bool:
        """Whether the nth part of what is held at most is held."""
        return (
            len(self) * share >= MOST_EVENTS
            or self._octets * share >= MOST_OCTETS
            or len(self.untried) * share >= MOST_UNTRIED
        )

    def __iter__(self) -> Iterator[Event]:
        yield from (*self.untried, *self.waiting, *self.calling)

    def __len__(self) -> int:
        return len(self.untried) + len(self.waiting) + len(self.calling)
