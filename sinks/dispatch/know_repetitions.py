"""Commands are known by their identity, not by their offset: one that is read twice is done once.

A processor that was killed writes its last commands again; a partition that went away for a moment is read again while its commands
are still in work. Neither may deliver a mail twice.
"""

from collections import OrderedDict

from sinks.dispatch.job import Identity, Job

REMEMBERED = 50_000  # commands that were done


class Repetitions:
    """What is in work, and what was done lately in this process."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._jobs: dict[Identity, Job] = {}
        self._done: OrderedDict[Identity, None] = OrderedDict()
        self._remembered = remembered

    def in_work(self, identity: Identity) -> Job | None:
        """The job of the same command that is not done yet."""
        return self._jobs.get(identity)

    def was_done(self, identity: Identity) -> bool:
        """Whether the same command was done before."""
        return identity in self._done

    def begin(self, job: Job) -> None:
        """This job stands for its command from now on."""
        self._jobs[job.identity] = job

    def finish(self, job: Job) -> None:
        """The command is done; another record of it needs no work."""
        self._jobs.pop(job.identity, None)
        self._done[job.identity] = None
        if len(self._done) > self._remembered:
            self._done.popitem(last=False)

    def forget(self, job: Job) -> None:
        """The command was given back or put aside: the next record of it is none that we know."""
        if self._jobs.get(job.identity) is job:
            del self._jobs[job.identity]

    @property
    def jobs(self) -> list[Job]:
        """All that is not done."""
        return list(self._jobs.values())
