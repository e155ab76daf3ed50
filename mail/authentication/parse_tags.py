"""Read a tag=value list (RFC 6376 §3.2), the syntax of DKIM, ARC, their key records and DMARC."""

import base64
import binascii
import re

_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9_]*")
_FWS = b" \t\r\n"
_SPACE = re.compile(rb"[ \t\r\n]+")
MAX_LIST = 64 * 1024  # bytes of one list that we are willing to read


class TagError(ValueError):
    """The list breaks the syntax; the text says where."""


def parse_tags(text: bytes) -> dict[str, bytes]:
    """Tags by name, values without the white space around them. Raises TagError."""
    if len(text) > MAX_LIST:
        raise TagError("the tag list is too long")
    parts = text.split(b";")
    if not parts[-1].strip(_FWS):
        parts.pop()
    tags: dict[str, bytes] = {}
    for part in parts:
        name, equals, value = part.partition(b"=")
        name = name.strip(_FWS)
        if not equals or _NAME.fullmatch(name) is None:
            raise TagError(f"{part.strip(_FWS)[:40].decode('ascii', 'replace')!r} is not a tag")
        key = name.decode("ascii")
        if key in tags:
            raise TagError(f"{key}= stands twice")
        tags[key] = value.strip(_FWS)
    return tags


def decode_base64(text: bytes) -> bytes | None:
    """Strict base64 with folding white space allowed; None where it is not base64 or empty."""
    try:
        return base64.b64decode(_SPACE.sub(b"", text), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def decode_number(text: bytes) -> int | None:
    """An unsigned decimal number of at most 15 digits (RFC 6376 §3.5 allows 12 for times); None otherwise."""
    return int(text) if 0 < len(text) <= 15 and text.isdigit() else None


def split_list(text: bytes) -> list[str]:
    """A colon-separated list in lower case, white space removed, empty members left out."""
    return [part for part in _SPACE.sub(b"", text).decode("ascii", "replace").lower().split(":") if part]
