"""Commands are known by what they ask for, not by their offset: one that is read twice is done once.

A processor that was killed writes its last commands again; a partition that went away for a moment is read again while its commands
are still in work; a sink that was killed after it had published the next attempt, and before it committed, does the old one again and
then reads both. None of them may deliver a mail twice.
"""

from collections import OrderedDict

from sinks.dispatch.job import Job, Step, Task

REMEMBERED = 50_000  # tasks of which a step was done
_END: Step = (1 << 62, 0)  # beyond every step


class Repetitions:
    """What is in work, and how far what was done lately in this process has come."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._jobs: dict[Task, Job] = {}
        self._done: OrderedDict[Task, Step] = OrderedDict()
        self._remembered = remembered

    def in_work(self, task: Task) -> Job | None:
        """The job of this task that is not done yet."""
        return self._jobs.get(task)

    def was_done(self, job: Job) -> bool:
        """Whether the same command, or one that came after it, was done before."""
        done = self._done.get(job.of)
        return done is not None and job.step <= done

    def begin(self, job: Job) -> None:
        """This job stands for its task from now on."""
        self._jobs[job.of] = job

    def finish(self, job: Job, *, more: bool = False) -> None:
        """The command is done; another record of it needs no work. Without `more` to come its task is over, and no command of it does."""
        if self._jobs.get(job.of) is job:
            del self._jobs[job.of]
        self._done[job.of] = max(job.step if more else _END, self._done.get(job.of, job.step))
        self._done.move_to_end(job.of)
        if len(self._done) > self._remembered:
            self._done.popitem(last=False)

    def forget(self, job: Job) -> None:
        """The command was given back or put aside: the next record of it is none that we know."""
        if self._jobs.get(job.of) is job:
            del self._jobs[job.of]

    @property
    def jobs(self) -> list[Job]:
        """All that is not done."""
        return list(self._jobs.values())
