"""One format for what all stages say: time, stage, line. Colour only on a terminal that wants it."""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from runtime.log import printable

LONGEST = 16_384  # bytes; a longer line is split
STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ")  # how our stages begin their lines
CURSOR = re.compile(r"^(?:\x08|\x1b\[\?25[hl])+")  # what a worker's spinner leaves in front of a line
COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)


class LineSplitter:
    """Bytes in, whole lines out. A line longer than LONGEST comes in parts, so that memory stays bounded."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        while len(self._rest) > LONGEST:
            lines.append(self._rest[:LONGEST])
            self._rest = self._rest[LONGEST:]
        return [line.decode("utf-8", "replace").rstrip("\r") for line in lines]

    def rest(self) -> list[str]:
        """What is left when the stream has ended without a line end."""
        rest, self._rest = self._rest, b""
        return [rest.decode("utf-8", "replace")] if rest else []


class LineWriter:
    """Writes lines to a terminal or a file. A reader that went away is no reason to stop the pipeline."""

    def __init__(self, out: TextIO, width: int = 10, environ: Mapping[str, str] = os.environ) -> None:
        self._out = out
        self._width = width
        self._terminal = out.isatty()
        self._colour = self._terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        self._colours: dict[str, int] = {}

    def write(self, name: str, line: str) -> None:
        """Write one line of one stage, with the time that the line itself gives, else now."""
        line = CURSOR.sub("", line)
        if stamp := STAMP.match(line):
            moment, line = datetime.fromisoformat(stamp[1]), line[stamp.end() :]
        else:
            moment = datetime.now(UTC)
        self._put(f"{self._time(moment)} {self._name(name)} {printable(line)}\n")

    def plain(self, text: str) -> None:
        """Write text as it is: what is meant for the person at the terminal."""
        self._put(text + "\n")

    def _time(self, moment: datetime) -> str:
        milliseconds = f"{moment.microsecond // 1000:03d}"
        if self._terminal:
            return moment.astimezone().strftime("%H:%M:%S.") + milliseconds
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + milliseconds + "Z"

    def _name(self, name: str) -> str:
        padded = name.ljust(self._width)
        if not self._colour:
            return padded
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\x1b[{colour}m{padded}\x1b[0m"

    def _put(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            pass
