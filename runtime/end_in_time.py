"""Ending within the time that whoever stops a process gives it, and saying what kept it.

Python waits at its end for every thread that asyncio or a pool has lent out: for a query of the store, or for a question to Kafka that is
not answered. When the work of a stage is over, nothing of that matters any more: what is done is written down, and all else is done again.
"""

import contextlib
import faulthandler
import signal
import sys

HANGS = 5.0  # seconds after which a process that was told to stop says what it is still doing
ENDS = 2.0  # seconds that Python has to end once the work is over
LAST = 1.0  # seconds more for what it cannot watch itself: the destructors of libraries


def say_what_hangs(after: float = HANGS) -> None:
    """Unless this process has ended by then, write to standard error where each of its threads stands."""
    with contextlib.suppress(OSError, ValueError):  # there is no standard error
        faulthandler.dump_traceback_later(after, exit=False, file=sys.stderr)


def end_soon(within: float = ENDS) -> None:
    """The work is over: end this process, with the code that it chooses, or when it takes longer than `within` seconds with code 1, saying
    where its threads stand. From the main thread."""
    with contextlib.suppress(OSError, ValueError):
        faulthandler.dump_traceback_later(within, exit=True, file=sys.stderr)
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, within + LAST)
