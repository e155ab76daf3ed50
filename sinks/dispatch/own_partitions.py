"""The partitions that this worker owns: how far each is read and done, and whether it is to be read on."""

from dataclasses import dataclass, field

from contracts.records import Place
from sinks.dispatch.job import Job
from sinks.dispatch.track_offsets import Progress


@dataclass
class Partition:
    """One partition that is ours."""

    progress: Progress
    stalled: Job | None = None  # the job at its head, which found no room in its lane
    paused: bool = False  # what the client was told last


@dataclass
class Partitions:
    """All that are ours. Nothing is remembered of one that is not: its new owner decides."""

    owned: dict[Place, Partition] = field(default_factory=dict)

    def assign(self, place: Place, committed: int, metadata: str) -> None:
        """It is ours from its committed offset on; below 0: nothing is committed, and it begins where it is read first."""
        self.owned[place] = Partition(Progress(committed, metadata))

    def release(self, places: set[Place]) -> None:
        """They are not ours any more."""
        for place in places:
            self.owned.pop(place, None)

    def finish(self, job: Job) -> None:
        """The job's command is done, at every offset of ours at which it was read."""
        for place, offset in job.offsets:
            if place in self.owned:
                self.owned[place].progress.finish(offset)

    def commits(self, places: set[Place] | None = None) -> list[tuple[Place, int, str]]:
        """(place, offset, metadata) of what has changed since the last call; of `places`, or of all."""
        found = []
        for place, partition in self.owned.items():
            if places is None or place in places:
                state = partition.progress.to_commit()
                if state is not None:
                    found.append((place, *state))
        return found

    def write_again(self, place: Place) -> None:
        """Its last commit did not get there, or may not: it is made again."""
        if place in self.owned:
            self.owned[place].progress.write_again()
