"""The fields of the machine-readable part of a report (RFC 3464 section 2.1, RFC 5965 section 3). Linear, bounded, never raises."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mail.reports.report import MAX_SAID

MAX_FIELDS = 20_000
MAX_LINES = 200  # lines of one field

_NAME = re.compile(r"([A-Za-z0-9-]{1,80})[ \t]*:(.*)", re.DOTALL)
_GARBAGE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_SPACE = re.compile(r"\s+")
_UNICODE = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")
_BRACKETED = re.compile(r"<([^<>\s]{1,1000})>")


def split_groups(text: str) -> tuple[list[list[tuple[str, str]]], bool]:
    """Groups of fields between empty lines, names in lower case, values on lines joined by a space; and whether those are all."""
    groups: list[list[tuple[str, str]]] = [[]]
    lines: list[str] = []
    read = 0
    for line in [*_GARBAGE.sub("", text).split("\n"), ""]:
        if line[:1] in (" ", "\t") and lines and line.strip():
            if len(lines) < MAX_LINES:
                lines.append(line.strip())
            continue
        named = _NAME.match(lines[0]) if lines else None
        if named is not None:
            value = " ".join([named[2].strip(), *lines[1:]])[:MAX_SAID].strip()
            groups[-1].append((named[1].lower(), value))
            read += 1
            if read >= MAX_FIELDS:
                return groups, False
        lines = [line] if line.strip() else []
        if not lines and groups[-1]:
            groups.append([])
    return [group for group in groups if group], True


def read_typed(value: str) -> tuple[str, str]:
    """The two halves of `rfc822; a@x.test` or `dns; mx.x.test`: type in lower case, and the rest; type "" where there is none."""
    kind, semicolon, rest = value.partition(";")
    return (kind.strip().lower(), rest.strip()) if semicolon else ("", value.strip())


def read_address(value: str) -> str:
    """The address of a recipient field, with what stands in its place in ASCII (RFC 6533 section 3) put back."""
    kind, rest = read_typed(value)
    if kind == "utf-8":
        rest = _UNICODE.sub(_character, rest)
    bracketed = _BRACKETED.search(rest)
    if bracketed is not None:
        return bracketed[1]
    return rest.partition(" (")[0].strip().strip("<>")[:1000] if "@" in rest else _SPACE.sub(" ", rest)[:1000]


def read_date(value: str) -> datetime | None:
    """A date of RFC 5322; None where it is none."""
    try:
        read = parsedate_to_datetime(value[:200])
        read.timestamp()
    except (ValueError, OverflowError, TypeError, IndexError, OSError):
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)  # "-0000": UTC, from an unknown zone


def _character(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    return chr(number) if 0xA0 <= number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else match[0]
