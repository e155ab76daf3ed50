"""Whether there is room on the disk: what is taken while there is none could not be kept.

Below the low-water mark (`min_free_disk`) the ways in take nothing new: SMTP answers 452 4.3.1, the send hook 507. What is held already
goes on, so that Kafka and the store keep the room that they need to do it.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

INTERVAL = 1.0  # seconds for which an answer is good

_log = logging.getLogger("mailscope.disk")


class DiskRoom:
    """The room on the disk of one folder, looked at once a second at most. Safe for threads."""

    def __init__(self, folder: Path, min_free: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`min_free` in octets; 0 never refuses."""
        self._folder = folder.absolute()
        self._min_free = min_free
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._has_room = True

    def __call__(self) -> bool:
        """Whether something new may be taken. A disk that cannot be looked at is no reason to refuse."""
        with self._lock:
            if self._min_free and self._clock() - self._looked_at >= INTERVAL:
                self._looked_at = self._clock()
                self._look()
            return self._has_room

    def _look(self) -> None:
        free = free_octets(self._folder)
        has_room = free is None or free >= self._min_free
        if has_room != self._has_room:
            self._has_room = has_room
            free_mib = (free or 0) >> 20
            if has_room:
                _log.info("%d MiB are free for %s: mail is taken again", free_mib, self._folder)
            else:
                _log.error(
                    "only %d MiB are free for %s (min_free_disk: %d MiB): nothing new is taken until there is room",
                    free_mib,
                    self._folder,
                    self._min_free >> 20,
                )


def free_octets(folder: Path) -> int | None:
    """What a process like this one may still write on the disk of a folder, which need not be there yet; None when nobody knows."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None
