"""Split a message into its MIME parts (RFC 2046 §5.1) in one pass. Linear in the size at any depth, bounded, never raises.

Every line that starts with `--` is looked up once among the boundaries that are open, however many there are. Nothing
is read again and nothing recurses.
"""

import re
from itertools import islice

from msgspec import Struct

from mail.decode_text import without_surrogates
from mail.parse_headers import MAX_HEADER_BYTES
from mail.read_parameters import find_parameter, read_parameters

MAX_PARTS = 1000  # parts of a message, containers included
MAX_DEPTH = 50  # containers within each other
MAX_LINES = 1_000_000  # that begin with `--`: what stands behind them is one part
MAX_CONTENT_FIELDS = 200  # of one part
MAX_BOUNDARY = 250  # octets; RFC 2046 §5.1.1 allows 70
MAX_FIELD = 64 * 1024  # octets of a field that are read


class Part(Struct):
    """One part that holds no others. Its fields are unfolded; its content is as it was sent."""

    type: str
    parameters: dict[str, str]  # of Content-Type
    disposition: str = ""
    disposition_parameters: dict[str, str] = {}
    encoding: str = ""  # Content-Transfer-Encoding, in lower case
    content_id: str = ""
    content: bytes = b""


def split_parts(raw: bytes) -> tuple[list[Part], bool]:
    """The parts that hold no others, in order, and whether those are all. A multipart without its boundary is a text."""
    splitter = _Splitter(raw)
    splitter.split()
    return splitter.parts, splitter.complete


_DELIMITER = re.compile(rb"\n--([^\r\n]{1,%d})\r?(?=\n|\Z)" % (MAX_BOUNDARY + 2))
_BLANK = re.compile(rb"\n\r?\n")
_FIELD = re.compile(rb"[\x21-\x39\x3b-\x7e]{1,1000}[ \t]*:")
_CONTENT_FIELD = re.compile(rb"^(content-[a-z-]{1,40})[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE | re.IGNORECASE)
_NOT_TEXT = re.compile(rb"[\r\x00]")
_TYPE = re.compile(r"[!#$%&'*+.^_`{|}~0-9a-z-]{1,127}/[!#$%&'*+.^_`{|}~0-9a-z-]{1,127}")


class _Splitter:
    """The state of the pass: which containers are open, and which part."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.parts: list[Part] = []
        self.complete = True
        self.begun = 0
        self.open: list[tuple[bytes, bool]] = []  # boundaries of the open containers; True: a digest
        self.levels: dict[bytes, list[int]] = {}  # where a boundary stands in `open`
        self.start = -1  # where the open part begins; -1: no part is open
        self.header_end = 0  # the empty line after its header
        self.content = -1  # where its content begins; -1: its header has not been read
        self.part: Part | None = None  # what its header says
        self.container = -1  # its place in `open` where it is a container, before its first delimiter

    def split(self) -> None:
        self._begin(0)
        for looked, match in enumerate(_DELIMITER.finditer(self.raw)):
            if looked >= MAX_LINES:
                self.complete = False
                break
            here = match.start() + 1
            if self.start >= 0 and self.content < 0 and here > self.header_end:
                self._read_header(self.header_end)
            level, last = self._find_level(match[1].rstrip(b" \t"))
            if level < 0:
                continue
            self._finish(here, level)
            self._close(level if last else level + 1)
            if not last:
                if self.begun >= MAX_PARTS:
                    self.complete = False
                    return
                self._begin(match.end() + 1)
        self._finish(len(self.raw) + 1, -1)

    def _find_level(self, line: bytes) -> tuple[int, bool]:
        """The innermost container whose delimiter this is, or -1; is it the closing one?"""
        found = self.levels.get(line)
        if found:
            return found[-1], False
        found = self.levels.get(line[:-2]) if line.endswith(b"--") else None
        return (found[-1], True) if found else (-1, False)

    def _begin(self, start: int) -> None:
        self.begun += 1
        self.start, self.content, self.part, self.container = start, -1, None, -1
        if self.raw.startswith((b"\n", b"\r\n"), start):
            self.header_end = start
        elif self.header_end <= start:  # otherwise it is known from a part before: no octet is searched twice
            blank = _BLANK.search(self.raw, start)
            self.header_end = blank.start() + 1 if blank else len(self.raw)

    def _read_header(self, end: int) -> None:
        """Read the header, which ends at `end`; a container is opened."""
        self.content = (
            min(self.raw.find(b"\n", end) + 1 or len(self.raw), len(self.raw)) if end == self.header_end else end
        )
        head = self.raw[self.start : end]
        if self.begun > 1 and head and _FIELD.match(head) is None:  # a part that begins with its text
            head, self.content = b"", self.start
        digest = bool(self.open) and self.open[-1][1]
        part, whole = _describe(head, "message/rfc822" if digest else "text/plain")
        self.complete &= whole
        self.part = part
        if not part.type.startswith("multipart/"):
            return
        boundary = _boundary(part.parameters)
        if len(self.open) >= MAX_DEPTH:
            self.part, self.complete = None, False
        elif not 0 < len(boundary) <= MAX_BOUNDARY:
            self.part, self.complete = Part("text/plain", part.parameters, encoding=part.encoding), False
        else:
            self.container = len(self.open)
            self.open.append((boundary, part.type == "multipart/digest"))
            self.levels.setdefault(boundary, []).append(self.container)

    def _finish(self, end: int, level: int) -> None:
        """End the open part before the line at `end`, a delimiter of the container `level`."""
        if self.start < 0:
            return
        if self.content < 0:
            self._read_header(min(self.header_end, end))
        part, self.start = self.part, -1
        if part is None or (self.container >= 0 and self.container == level):
            return  # what stands before the first delimiter of a container is not shown
        content = self.raw[self.content : max(self.content, end - 1)]
        if end <= len(self.raw):
            content = content.removesuffix(b"\r")  # the line end before a delimiter belongs to it
        if self.container >= 0:
            part, self.complete = Part("text/plain", part.parameters, encoding=part.encoding), False
        part.content = content
        self.parts.append(part)

    def _close(self, level: int) -> None:
        """Close the containers from `level` on."""
        while len(self.open) > level:
            self.levels[self.open.pop()[0]].pop()


def _describe(head: bytes, default: str) -> tuple[Part, bool]:
    """What a header says of its part, and whether all of it was read."""
    texts: dict[bytes, str] = {}
    for match in islice(_CONTENT_FIELD.finditer(head, 0, MAX_HEADER_BYTES), MAX_CONTENT_FIELDS):
        value = match[2][:MAX_FIELD].replace(b"\r\n", b"\n").replace(b"\n", b"")  # every line end in it is a fold
        texts.setdefault(match[1].lower(), _NOT_TEXT.sub(b" ", value).decode("utf-8", "surrogateescape"))
    kind, parameters = read_parameters(texts.get(b"content-type", default))
    disposition, more = read_parameters(texts.get(b"content-disposition", ""))
    part = Part(
        kind if _TYPE.fullmatch(kind) else "text/plain",  # RFC 2045 §5.2
        parameters,
        disposition,
        more,
        read_parameters(texts.get(b"content-transfer-encoding", ""))[0],
        without_surrogates(texts.get(b"content-id", "")).strip(),
    )
    return part, len(head) <= MAX_HEADER_BYTES


def _boundary(parameters: dict[str, str]) -> bytes:
    plain = parameters.get("boundary")
    text = find_parameter(parameters, "boundary") if plain is None else plain
    return text.rstrip().encode("utf-8", "surrogateescape")
