"""Take incoming Authentication-Results fields that claim to be ours out of a message (RFC 8601 §5).

Everything else keeps its bytes: a signature over the message still verifies after it."""

import re
from collections.abc import Iterator

from mail.parse_addresses import to_ascii_domain

_NAME = re.compile(rb"authentication-results[ \t]*:", re.IGNORECASE)
_END = re.compile(rb"(?:\A|\n)\r?\n")  # the empty line after the header
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[()=]|\\.|[^"()=\\;\s]+|\s+|.', re.DOTALL)
MAX_VALUE = 1024 * 1024  # bytes of one value that are read; nobody writes a longer one in good faith


def strip_auth_results(raw: bytes, authserv_id: str) -> bytes:
    """`raw` without the fields whose authserv-id is ours, in any case, folding, quoting or with comments."""
    return b"".join(part for part, ours in _split(raw, authserv_id) if not ours)


def auth_results_ranges(raw: bytes, authserv_id: str) -> list[tuple[int, int]]:
    """Where those fields stand in `raw`: (start, end) of each, for a stage that leaves them out later."""
    ranges, position = [], 0
    for part, ours in _split(raw, authserv_id):
        if ours:
            ranges.append((position, position + len(part)))
        position += len(part)
    return ranges


def is_ours(value: bytes, authserv_id: str) -> bool:
    """True where a field's value claims our authserv-id."""
    if len(value) > MAX_VALUE:
        return True
    return claimed_id(value.decode("utf-8", "replace")) == _canonical(authserv_id)


def claimed_id(value: str) -> str:
    """The authserv-id of a field's value: comments skipped, quotes undone, in lower case (RFC 8601 §2.2)."""
    found = ""
    for token, quoted in tokens_of(value):
        if token.isspace() and not quoted:
            if found:
                break
        elif token == ";" and not quoted:
            break
        else:
            found += token
    return _canonical(found)


def tokens_of(value: str) -> Iterator[tuple[str, bool]]:
    """(token, whether it was a quoted string) of a field's value, without its comments (RFC 5322 section 3.2.2) and quotation marks; white
    space is a token."""
    depth = 0
    for token in _TOKEN.findall(value):
        if token == "(":
            depth += 1
        elif token == ")" and depth:
            depth -= 1
        elif depth:
            continue
        elif token.startswith('"') and len(token) > 1:
            yield re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL), True
        else:
            yield token, False


def _canonical(name: str) -> str:
    return to_ascii_domain(name) or name.strip().lower()


def _split(raw: bytes, authserv_id: str) -> list[tuple[bytes, bool]]:
    """The message in pieces; a piece is ours or kept. The body is the last piece."""
    end = _END.search(raw)
    if not authserv_id or _NAME.search(raw, 0, end.end() if end else len(raw)) is None:
        return [(raw, False)]
    pieces: list[tuple[bytes, bool]] = []
    position = kept_from = 0
    while position < len(raw):
        start = position
        position = _end_of_line(raw, position)
        if raw[start:position] in (b"\r\n", b"\n"):
            break
        if _NAME.match(raw, start) is None:
            continue
        while raw[position : position + 1] in (b" ", b"\t"):
            position = _end_of_line(raw, position)
        field = raw[start:position]
        if is_ours(field.partition(b":")[2], authserv_id):
            pieces += [(raw[kept_from:start], False), (field, True)]
            kept_from = position
    return [*pieces, (raw[kept_from:], False)]


def _end_of_line(raw: bytes, position: int) -> int:
    end = raw.find(b"\n", position)
    return len(raw) if end < 0 else end + 1
