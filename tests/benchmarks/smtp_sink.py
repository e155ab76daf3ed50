"""Postfix's smtp-sink as a child: takes all mail that comes to a port, and tells when how many had come."""

import os
import re
import shutil
import subprocess
import threading
import time
from types import TracebackType
from typing import Self

from tests.wait_for import wait_for

SMTP_SINK = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_MAILS = re.compile(rb"mesg=(\d+)")


class SmtpSink:
    """Listens at all addresses of this machine. Needs root, to give it up again."""

    def __init__(self, port: int) -> None:
        assert SMTP_SINK is not None
        self._came: list[tuple[float, int]] = []  # (time, mails that had come by then), seconds of time.monotonic
        self._process = subprocess.Popen(
            [SMTP_SINK, "-4", "-c", "-u", "nobody", "-m", "1000", f"0.0.0.0:{port}", "1000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._thread.join(10)

    @property
    def mails(self) -> int:
        """So many have come."""
        return self._came[-1][1] if self._came else 0

    def wait_for(self, mails: int, at_most: float = 120.0) -> None:
        """Until so many have come in all."""
        assert wait_for(lambda: self.mails >= mails, at_most), f"{self.mails} of {mails} mails came"

    def rate_since(self, before: int) -> float:
        """Mails a second, from the first one after `before` to the last one."""
        counted = [(at, mails) for at, mails in self._came if mails > before]
        (first, least), (last, most) = counted[0], counted[-1]
        return (most - least) / (last - first)

    def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while data := os.read(stdout.fileno(), 1 << 16):
            found = _MAILS.findall(data)
            if found and int(found[-1]) > self.mails:
                self._came.append((time.monotonic(), int(found[-1])))
