"""One pipeline per data folder: the second one is refused with a sentence that says what to do."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from runtime.own_folder import own_folder


class DataInUse(Exception):
    """Another pipeline runs on this data folder."""


@contextmanager
def lock_data(folder: Path) -> Iterator[None]:
    """Hold the data folder for this process. The kernel lets go of it however the process ends. Raises DataInUse."""
    own_folder(folder)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip()
            by = f" (process {holder})" if holder else ""
            raise DataInUse(
                f"another Mailscope{by} is running on {folder}: stop it first, or name another folder in "
                "MAILSCOPE_DATA_DIR and other ports in MAILSCOPE_PORT_BASE"
            ) from None
        _sign(lock)
        yield


def _sign(lock: IO[str]) -> None:
    """Who holds it, for the sentence above. The lock itself needs no room on the disk."""
    with contextlib.suppress(OSError):
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), f"{os.getpid()}\n".encode())
