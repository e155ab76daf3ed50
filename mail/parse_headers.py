"""Split a message into header fields and body without believing what it says (RFC 5322 §2.2, §3.6).

Linear in the size of the message, bounded in what is kept, never raises. The bytes of every field stay as they
came, because signatures cover them. What a stricter or laxer parser could read differently (a second From
behind a lone CR, a byte order mark, `From :`) is reported as a flag.
"""

import re
from enum import StrEnum
from typing import NamedTuple

MAX_HEADER_BYTES = 1024 * 1024
MAX_FIELDS = 2000
MAX_VALUE = 64 * 1024  # longest value that `text` decodes


class Flag(StrEnum):
    """Risks in the structure of a message."""

    MULTIPLE_FROM = "multiple_from"  # more than one From field
    HIDDEN_FROM = "hidden_from"  # a From that only some parsers see: after a lone CR, a BOM or a control byte
    OBSOLETE_FROM = "obsolete_from"  # `From :` with space before the colon (RFC 5322 §4.5)
    NO_FROM = "no_from"  # no From field at all
    FROM_SEVERAL_DOMAINS = "from_several_domains"  # one From field, addresses of several domains
    DISPLAY_NAME_ADDRESS = (
        "display_name_address"  # the name in From shows, plain or encoded, an address of another domain
    )
    FROM_SEVERAL = "from_several"  # one From field, several mailboxes of one domain
    FROM_MALFORMED = (
        "from_malformed"  # From is no list of mailboxes: a group, or text that programs read in different ways
    )
    FROM_UNPARSABLE = "from_unparsable"  # a From field without any domain
    AUTHOR_UNCHECKED = "author_unchecked"  # From may name an author whom we could not check: cut, hidden, unreadable
    BARE_CR = "bare_cr"  # a CR without LF in the header
    BARE_LF = "bare_lf"  # a LF without CR somewhere
    BOM = "bom"  # the message starts with a byte order mark
    NUL = "nul"  # a NUL byte in the header
    NON_ASCII_NAME = "non_ascii_name"  # a field name outside printable ASCII
    MALFORMED_HEADER = "malformed_header"  # a header line that is no field
    LEADING_FOLD = "leading_fold"  # the first line is a continuation of nothing
    DUPLICATE_FIELD = "duplicate_field"  # a field that may stand once stands twice (RFC 5322 §3.6)
    HEADER_CAP = "header_cap"  # more header than we look at
    TOO_MANY_SIGNATURES = "too_many_signatures"  # more DKIM signatures than are tried
    FORGED_AUTH_RESULTS = "forged_auth_results"  # an Authentication-Results field that claims to be ours
    INTERNAL_ERROR = "internal_error"  # a check failed on this input; the others stand


class Field(NamedTuple):
    """One header field: its name in lower case, and its bytes from the name to before the last CRLF."""

    name: bytes
    raw: bytes
    colon: int  # where the colon stands in `raw`

    @property
    def value(self) -> bytes:
        """Everything after the colon, folding included."""
        return self.raw[self.colon + 1 :]

    def text(self) -> str:
        """The unfolded value for reading, at most MAX_VALUE bytes of it; undecodable bytes become U+FFFD."""
        return unfold(self.value[:MAX_VALUE]).decode("utf-8", "replace").strip()


class Message(NamedTuple):
    """A message in parts; `body` and `fields` have CRLF line ends even where the original had bare LF."""

    fields: list[Field]
    body: bytes
    flags: list[Flag]

    def all(self, name: bytes) -> list[Field]:
        return [field for field in self.fields if field.name == name]


_FOLD = re.compile(rb"\r\n(?=[ \t])|[\r\n\x00]")
_FROM_AFTER_CR = re.compile(rb"\r(?!\n)[^A-Za-z0-9\r\n]*from[^A-Za-z0-9:\r\n]*:", re.IGNORECASE)
_NOT_A_NAME = re.compile(rb"[^\x21-\x39\x3b-\x7e]")
_NOT_WORD = re.compile(rb"[^A-Za-z0-9_-]+")
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_ONCE = frozenset(
    (b"date", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"message-id", b"in-reply-to", b"references", b"subject")
)


def split_message(raw: bytes) -> Message:
    """Split `raw` at the first empty line. Bare LF counts as a line end, a lone CR does not (RFC 5321 §2.3.8)."""
    flags: list[Flag] = []
    if raw.count(b"\n") != raw.count(b"\r\n"):
        flags.append(Flag.BARE_LF)
        raw = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    head, body = _cut_head(raw)
    if len(head) > MAX_HEADER_BYTES:
        flags.append(Flag.HEADER_CAP)
        head = head[:MAX_HEADER_BYTES]
    fields = _split_fields(head, flags)
    _flag_bytes(head, flags)
    _flag_fields(fields, flags)
    return Message(fields, body, list(dict.fromkeys(flags)))


def unfold(value: bytes) -> bytes:
    """Take the line ends out of a field's value; other line ends and NUL become a space (RFC 5322 §2.2.3)."""
    return _FOLD.sub(lambda match: b"" if len(match[0]) == 2 else b" ", value)


def _cut_head(raw: bytes) -> tuple[bytes, bytes]:
    if raw.startswith(b"\r\n"):
        return b"", raw[2:]
    end = raw.find(b"\r\n\r\n")
    return (raw, b"") if end < 0 else (raw[:end], raw[end + 4 :])


def _split_fields(head: bytes, flags: list[Flag]) -> list[Field]:
    fields: list[Field] = []
    lines: list[bytes] = []
    for line in head.removesuffix(b"\r\n").split(b"\r\n") if head else []:
        if line[:1] in (b" ", b"\t") and lines:
            lines.append(line)
            continue
        if lines:
            if len(fields) >= MAX_FIELDS:
                flags.append(Flag.HEADER_CAP)
                return fields
            _append_field(lines, fields, flags)
        lines = [line]
    if lines:
        _append_field(lines, fields, flags)
    return fields


def _append_field(lines: list[bytes], fields: list[Field], flags: list[Flag]) -> None:
    raw = b"\r\n".join(lines) if len(lines) > 1 else lines[0]
    colon = raw.find(b":")
    written = raw[:colon] if colon > 0 else b""
    name = written.rstrip(b" \t")
    lower = name.lower()
    if name and _NOT_A_NAME.search(name) is None:
        if lower == b"from" and written != name:
            flags.append(Flag.OBSOLETE_FROM)
        fields.append(Field(lower, raw, colon))
        return
    if _NOT_WORD.sub(b"", lower) == b"from":
        flags.append(Flag.HIDDEN_FROM)
    if raw[:1] in (b" ", b"\t") and not fields:
        flags.append(Flag.LEADING_FOLD)
    elif raw.startswith(b"From ") and not fields:
        pass  # the separator line of an mbox file
    elif any(byte > 126 for byte in name):
        flags.append(Flag.NON_ASCII_NAME)
    else:
        flags.append(Flag.MALFORMED_HEADER)


def _flag_bytes(head: bytes, flags: list[Flag]) -> None:
    if head.startswith(_BOMS):
        flags.append(Flag.BOM)
    if b"\x00" in head:
        flags.append(Flag.NUL)
    if head.count(b"\r") != head.count(b"\r\n"):
        flags.append(Flag.BARE_CR)
        if _FROM_AFTER_CR.search(head) is not None:
            flags.append(Flag.HIDDEN_FROM)


def _flag_fields(fields: list[Field], flags: list[Flag]) -> None:
    names = [field.name for field in fields]
    authors = names.count(b"from")
    if authors == 0:
        flags.append(Flag.NO_FROM)
    elif authors > 1:
        flags.append(Flag.MULTIPLE_FROM)
    once = [name for name in names if name in _ONCE]
    if len(once) != len(set(once)):
        flags.append(Flag.DUPLICATE_FIELD)
