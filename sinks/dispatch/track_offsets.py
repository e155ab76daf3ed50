"""Which commands of a partition are done: the offset to commit, and beside it what is done beyond that offset.

Commands end in any order, while Kafka keeps one number for each partition. What is done beyond it is written into the commit's
metadata, so that a restarted sink does not repeat a delivery only because an older one was still in work.
"""

import json


class Progress:
    """One partition. Offsets are added in order by `start` and leave in any order by `finish`."""

    def __init__(self, committed: int, metadata: str = "") -> None:
        self._next = max(committed, 0)  # everything below is done
        self._read = self._next  # everything below has been read since the partition was assigned
        self._open: set[int] = set()
        self._done = set(_parse(metadata))
        self._written: tuple[int, str] | None = None

    def is_done(self, offset: int) -> bool:
        """Whether this offset was finished before a restart."""
        return offset < self._next or offset in self._done

    def start(self, offset: int) -> None:
        """The command at this offset has been read and is being worked on."""
        self._open.add(offset)
        self._read = max(self._read, offset + 1)

    def skip(self, offset: int) -> None:
        """The command at this offset has been read again and was done before."""
        self._read = max(self._read, offset + 1)

    def finish(self, offset: int) -> None:
        """The command at this offset needs no more work."""
        self._open.discard(offset)
        self._done.add(offset)

    def to_commit(self) -> tuple[int, str] | None:
        """(offset, metadata) to commit, or None when nothing has changed since the last call."""
        # Never past what was read: right after a restart, a gap before what is known to be done is still to be read.
        self._next = max(self._next, min(self._open, default=self._read))
        self._done = {offset for offset in self._done if offset >= self._next}
        state = (self._next, _format(sorted(self._done)))
        if state == self._written:
            return None
        self._written = state
        return state

    def write_again(self) -> None:
        """The last commit failed: the next `to_commit` gives its state once more."""
        self._written = None

    @property
    def open(self) -> int:
        """How many are being worked on."""
        return len(self._open)


def _format(offsets: list[int]) -> str:
    """Ranges as JSON, `[[first, last], ...]`, cut to what fits into the 4096 octets that Kafka keeps."""
    ranges: list[list[int]] = []
    for offset in offsets:
        if ranges and ranges[-1][1] == offset - 1:
            ranges[-1][1] = offset
        else:
            ranges.append([offset, offset])
    while ranges:
        text = json.dumps(ranges, separators=(",", ":"))
        if len(text) <= 4000:
            return text
        ranges = ranges[: len(ranges) * 3 // 4]
    return ""


def _parse(metadata: str) -> list[int]:
    try:
        return [offset for first, last in json.loads(metadata or "[]") for offset in range(int(first), int(last) + 1)]
    except (ValueError, TypeError):
        return []  # written by somebody else: without it a command may be repeated, never lost
