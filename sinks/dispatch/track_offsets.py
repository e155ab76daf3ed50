"""Which commands of a partition are done: the offset to commit, and beside it what is done beyond that offset.

Commands end in any order, while Kafka keeps one number for each partition. What is done beyond it is written into the commit's
metadata as a bitmap, so that a restarted sink does not repeat a delivery only because an older one was still in work. How far a
partition is read ahead is bounded by what the metadata holds (`MAX_SPAN`), so that it always holds all of it.
"""

import base64
import binascii
import zlib

MAX_METADATA = 4000  # octets; brokers keep 4096 (offset.metadata.max.bytes)
MAX_SPAN = 22_000  # offsets: this many bits in base64 fit, however they are set
_PLAIN, _PACKED = "b:", "z:"


class Progress:
    """One partition. Offsets are added in order by `start` or `skip`, and leave in any order by `finish`."""

    def __init__(self, committed: int, metadata: str = "") -> None:
        self._next = max(committed, 0)  # everything below is done
        self._read = self._next  # everything below has been read since the partition was assigned
        self._open: set[int] = set()
        self._done = set(_parse(self._next, metadata))
        self._written: tuple[int, str] | None = None
        self._changed = False

    def is_done(self, offset: int) -> bool:
        """Whether this offset was finished before a restart."""
        return offset < self._next or offset in self._done

    def start(self, offset: int) -> None:
        """The command at this offset has been read and is being worked on."""
        self._open.add(offset)
        self._read = max(self._read, offset + 1)
        self._changed = True

    def skip(self, offset: int) -> None:
        """The command at this offset has been read again and was done before."""
        self._read = max(self._read, offset + 1)
        self._changed = True

    def finish(self, offset: int) -> None:
        """The command at this offset needs no more work."""
        self._open.discard(offset)
        self._done.add(offset)
        self._changed = True

    def to_commit(self) -> tuple[int, str] | None:
        """(offset, metadata) to commit, or None when nothing has changed since the last call."""
        if not self._changed:
            return None
        self._changed = False
        # Never past what was read: right after a restart, a gap before what is known to be done is still to be read.
        self._next = max(self._next, min(self._open, default=self._read))
        self._done = {offset for offset in self._done if offset >= self._next}
        state = (self._next, _format(self._next, self._done))
        if state == self._written:
            return None
        self._written = state
        return state

    def write_again(self) -> None:
        """The last commit failed, or is not known to have got there: the next `to_commit` gives its state once more."""
        if self._written is not None:
            self._written = None
            self._changed = True

    @property
    def open(self) -> int:
        """How many are being worked on."""
        return len(self._open)

    @property
    def read(self) -> int:
        """The offset that is read next."""
        return self._read

    @property
    def far_ahead(self) -> bool:
        """Whether reading on would get beyond what the metadata can hold: the oldest command has to end first."""
        return self._read - min(self._open, default=self._read) >= MAX_SPAN


def _format(start: int, done: set[int]) -> str:
    """A bitmap of the offsets from `start` on, the shorter of plain and packed."""
    if not done:
        return ""
    bits = bytearray((max(done) - start) // 8 + 1)
    for offset in done:
        bits[(offset - start) >> 3] |= 1 << (offset - start & 7)
    packed = zlib.compress(bytes(bits), 9)
    name, octets = (_PACKED, packed) if len(packed) < len(bits) else (_PLAIN, bytes(bits))
    text = name + base64.b64encode(octets).decode("ascii")
    return text if len(text) <= MAX_METADATA else ""  # MAX_SPAN sees to it that this does not come to pass


def _parse(start: int, metadata: str) -> list[int]:
    name, text = metadata[:2], metadata[2:]
    if name not in (_PLAIN, _PACKED):
        return []  # written by somebody else: without it a command may be repeated, never lost
    try:
        bits = base64.b64decode(text, validate=True)
        if name == _PACKED:
            bits = zlib.decompressobj().decompress(bits, MAX_SPAN)
    except (binascii.Error, zlib.error, ValueError):
        return []
    return [start + 8 * place + bit for place, octet in enumerate(bits) for bit in range(8) if octet >> bit & 1]
