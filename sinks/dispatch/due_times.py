"""Commands that are not due yet, kept by partition.

A retry topic holds commands of one delay, so they come nearly in the order of their due times; where more than `MOST` of a partition
wait, those behind them are due later and may stay in Kafka.
"""

import heapq
from itertools import count

from contracts.records import Place
from sinks.dispatch.job import Job

MOST = 50  # of one partition


class DueTimes:
    """Times in milliseconds since 1970 UTC."""

    def __init__(self) -> None:
        self._waiting: dict[Place, list[tuple[int, int, Job]]] = {}
        self._numbers = count()

    def hold(self, job: Job, due_ms: int) -> None:
        """Keep a job until it is due."""
        heapq.heappush(self._waiting.setdefault(job.place, []), (due_ms, next(self._numbers), job))

    def take_due(self, now_ms: int) -> list[Job]:
        """The jobs that are due; they wait no more."""
        due = []
        for place, waiting in list(self._waiting.items()):
            while waiting and waiting[0][0] <= now_ms:
                due.append(heapq.heappop(waiting)[2])
            if not waiting:
                del self._waiting[place]
        return due

    def give_back(self, places: set[Place]) -> list[Job]:
        """The jobs of these partitions; whoever owns them next reads them again."""
        return [job for place in places for _, _, job in self._waiting.pop(place, [])]

    def full(self, place: Place) -> bool:
        """Whether enough of this partition wait."""
        return len(self._waiting.get(place, ())) >= MOST

    def next_due(self) -> int | None:
        """When the first one is due; None when none waits."""
        return min((waiting[0][0] for waiting in self._waiting.values()), default=None)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))
