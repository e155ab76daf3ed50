"""The files in which the supervisor says what runs: `data/run/*.pid` and `stages.json`. They are for people and programs that look;
a disk that is full must not end what they tell of."""

import os
import time
from collections.abc import Callable
from pathlib import Path

RETRY = 1.0  # seconds between two tries of what could not be written
CALM = 5.0  # seconds without a failure after which the trouble is over: where there is hardly any room, some writes succeed


class RunFiles:
    """Writes whole files or nothing. What cannot be written is said once and written when it can be; nothing raises OSError."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._missing: dict[Path, str | None] = {}  # what each should hold; None: it should not be there
        self._failed_at: float | None = None  # None: there is no trouble

    def write(self, path: Path, text: str) -> None:
        """Let the file hold this text."""
        self._settle(path, text)

    def remove(self, path: Path) -> None:
        """Let the file be gone."""
        self._settle(path, None)

    def retry(self) -> None:
        """Try again what could not be done. Call it now and then."""
        for path, text in list(self._missing.items()):
            self._settle(path, text)
        if self._failed_at is not None and time.monotonic() - self._failed_at > CALM:
            self._failed_at = None
            self._say("its files can be written again")

    def _settle(self, path: Path, text: str | None) -> None:
        self._missing.pop(path, None)
        try:
            _put(path, text)
        except OSError as error:
            self._missing[path] = text
            if self._failed_at is None:
                self._say(f"{path} cannot be written ({error.strerror}); it goes on without, and writes it when it can")
            self._failed_at = time.monotonic()


def _put(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w") as file:
            file.write(text)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
