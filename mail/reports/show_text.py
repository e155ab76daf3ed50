"""What a report says to people, as text: its first readable parts, HTML without its tags, and what it gives back of the mail behind
them. Linear, bounded, never raises."""

import html
import re

from mail.decode_text import decode_charset
from mail.read_body import decode_content
from mail.read_parameters import find_parameter
from mail.reports.report import MAX_TEXT
from mail.split_parts import Part

MAX_OCTETS = 4 * MAX_TEXT  # of a part, before its transfer encoding is taken off

_HIDDEN = re.compile(r"<(style|script|title)\b", re.IGNORECASE)
_SHOWN_AGAIN = re.compile(r"</(?:style|script|title)\b", re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h[1-6]|/?table|/?pre)\b[^<>]{0,1000}>", re.IGNORECASE)
_TAG = re.compile(r"<[a-zA-Z/!?](?:[^<>@]|@(?=[a-z-]{0,40}[ {])){0,2000}>")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_RETURNED = re.compile(
    r"^(?:"
    r"(?:return-path: ?<|received: ?(?:from|by|\(qmail|\(from)|x-received: by|dkim-signature: v=)"
    r"|[ \t]{0,8}[-=*_+~#<>]{2,}[ \t]{0,8}(?:here is |this is |below is |included is |enclosed is |start of |begin )?(?:a |the |your )?"
    r"(?:below this line|copy|original|returned|undelivered|unsent|message (?:header|text|body|follows)|header|"
    r"enclosed|forwarded|your message|body of message|mail (?:follows|header)|included|attached)[^\n]{0,100}$"
    r"|(?![^\n]{0,200}\b(?:not|received|fail|reject))[ \t]{0,8}(?:the |your |included is a |below is a |a )?"
    r"(?:copy of (?:the|your) (?:original )?(?:message|mail)|(?:original|returned|undelivered|unsent) (?:message|mail|e-mail|header)|"
    r"message headers?|headers? of (?:the|your) (?:original )?message)[^\n:]{0,60}[:.]?[ \t]{0,8}$"
    r")",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER = re.compile(
    r"^(?:return-path|received|date|from|to|subject|message-id|mime-version|delivered-to|dkim-signature|x-[a-z-]{1,40}):",
    re.IGNORECASE | re.MULTILINE,
)
_RETURNED_TYPES = frozenset({"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"})


def show_text(parts: list[Part]) -> str:
    """The text parts in front of the returned mail; HTML only where there is no other."""
    plain: list[str] = []
    rich: list[str] = []
    for part in parts:
        if part.type in _RETURNED_TYPES or _is_returned(part):
            break
        if part.type == "text/plain":
            plain.append(part_text(part))
        elif part.type == "text/html":
            rich.append(strip_html(part_text(part)))
    shown = plain if any(text.strip() for text in plain) else rich
    return "\n".join(shown)[:MAX_TEXT]


def returned_octets(parts: list[Part]) -> bytes:
    """The mail that is given back as a part of its own, or its headers; b"" where there is none."""
    found = next((part for part in parts if part.type in _RETURNED_TYPES), None) or next(
        filter(_is_returned, parts), None
    )
    return decode_content(_cut(found)) if found else b""


def _is_returned(part: Part) -> bool:
    """A text that is attached and begins with header fields."""
    return part.disposition == "attachment" and _HEADER.match(part_text(part).lstrip()) is not None


def part_text(part: Part) -> str:
    """The text of one part, with bare LF and without control characters."""
    charset = find_parameter(part.parameters, "charset") or "utf-8"
    text, _ = decode_charset(decode_content(_cut(part)), charset, MAX_TEXT)
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def strip_html(text: str) -> str:
    """HTML as text; an address in angle brackets stays."""
    text = _BREAK.sub("\n", _without_hidden(text))
    return html.unescape(_TAG.sub(" ", text)).replace("\xa0", " ")


def cut_returned(text: str) -> tuple[str, str]:
    """The words of the report, and the returned mail from its first header on, where that stands in the same text."""
    for match in _RETURNED.finditer(text):
        if not text[: match.start()].strip():
            continue  # a report that begins with it says nothing before
        header = _HEADER.search(text, match.start())
        return text[: match.start()], text[header.start() :] if header else ""
    return text, ""


def _without_hidden(text: str) -> str:
    """Without what a browser does not show. One that is never closed ends the text."""
    shown: list[str] = []
    place = 0
    while (hidden := _HIDDEN.search(text, place)) is not None:
        shown.append(text[place : hidden.start()])
        end = _SHOWN_AGAIN.search(text, hidden.end())
        if end is None:
            return "".join(shown)
        place = text.find(">", end.end()) + 1 or len(text)
    return "".join([*shown, text[place:]])


def _cut(part: Part) -> Part:
    return Part(part.type, part.parameters, encoding=part.encoding, content=part.content[:MAX_OCTETS])
