"""Postfix's log file to attempts, told to whoever writes them down: each at least once, over rotations, restarts and kill -9.

What was read is kept with the place in the file, in one file that is replaced as a whole once the attempts before it are written down.
What is told again after a crash changes nothing there.
"""

import os
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from ingest.attempts.attempt_items import AttemptItem
from ingest.attempts.follow_file import FollowedFile, Place
from ingest.attempts.read_postfix_log import PostfixLog, State

MOST_ITEMS = 500  # told at a time
LOOK_AGAIN = 0.5  # seconds

Tell = Callable[[Sequence[AttemptItem]], None]  # returns when they are written down


class _Kept(msgspec.Struct):
    place: Place
    state: State


class PostfixFollower:
    """Follows the log at `path`; `kept` is the file in which it remembers how far it is."""

    def __init__(self, path: Path, kept: Path, tell: Tell, now: Callable[[], datetime]) -> None:
        self._kept = kept
        self._tell = tell
        self._now = now
        known = self._recall()
        self._file = FollowedFile(path, known.place)
        self._log = PostfixLog(known.state)

    def step(self) -> int:
        """Read what has come, tell it, and remember that; how many lines there were."""
        lines = self._file.read()
        now = self._now()
        items = [item for line in lines for item in self._log.read(line, now)]
        for start in range(0, len(items), MOST_ITEMS):
            self._tell(items[start : start + MOST_ITEMS])
        if lines:
            self._remember()
        return len(lines)

    def run(self, stopped: Callable[[], bool]) -> None:
        """Follow until told to stop."""
        while not stopped():
            if not self.step():
                time.sleep(LOOK_AGAIN)
        self._file.close()

    def _recall(self) -> _Kept:
        try:
            return msgspec.json.decode(self._kept.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return _Kept(Place(), State())

    def _remember(self) -> None:
        fresh = self._kept.with_name(f".{self._kept.name}.{os.getpid()}")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(_Kept(self._file.place, self._log.state)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._kept)
