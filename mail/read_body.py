"""The readable parts of a message: text, HTML and attachments (RFC 2045, RFC 2183). Linear, bounded, never raises."""

import binascii
import re
from itertools import islice

from msgspec import Struct

from mail.decode_text import decode_base64, decode_charset, decode_words
from mail.read_parameters import find_parameter
from mail.split_parts import MAX_DEPTH as MAX_DEPTH
from mail.split_parts import MAX_PARTS as MAX_PARTS
from mail.split_parts import Part, split_parts

MAX_TEXT = 1 << 20  # characters of text and of HTML
MAX_UU_LINES = 1 << 20  # of one uuencoded part, of 45 octets each

_UU_BEGIN = re.compile(rb"^begin [^\r\n]*", re.MULTILINE)
_UU_LINE = re.compile(rb"[^\r\n]+")


class Attachment(Struct, frozen=True):
    """One attachment, its content decoded."""

    name: str
    type: str
    content_id: str
    content: bytes


class Body(Struct, frozen=True):
    """What people read. `complete` is False where something was cut or left out."""

    text: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    complete: bool = True


def read_body(raw: bytes) -> Body:
    """The first text and HTML parts that are shown, and everything else that has content."""
    parts, complete = split_parts(raw)
    text, html = "", ""
    attachments: list[Attachment] = []
    for part in parts:
        name = _name(part)
        attached = part.disposition == "attachment" or bool(name)
        if part.type == "text/plain" and not attached and not text:
            text, whole = read_text(part)
            complete &= whole
        elif part.type == "text/html" and not attached and not html:
            html, whole = read_text(part)
            complete &= whole
        elif part.type == "message/rfc822":
            attachments.append(Attachment(name or "message.eml", part.type, "", decode_content(part)))
        else:
            attachments.append(Attachment(name, part.type, part.content_id.strip("<> ")[:200], decode_content(part)))
    return Body(text, html, tuple(attachments), complete)


def decode_content(part: Part) -> bytes:
    """The content without its transfer encoding (RFC 2045 §6); an unknown one is none."""
    match part.encoding:
        case "base64":
            return decode_base64(part.content) or b""
        case "quoted-printable":
            return binascii.a2b_qp(part.content)
        case "x-uuencode" | "uuencode" | "x-uue" | "uue":
            return _decode_uu(part.content)
        case _:
            return part.content


def _decode_uu(content: bytes) -> bytes:
    begin = _UU_BEGIN.search(content)
    if begin is None:
        return content
    decoded = bytearray()
    for line in islice(_UU_LINE.finditer(content, begin.end()), MAX_UU_LINES):
        if line[0].strip() == b"end":
            break
        try:
            decoded += binascii.a2b_uu(line[0])
        except binascii.Error:
            pass  # a damaged line is left out, the others are read
    return bytes(decoded)


def read_text(part: Part) -> tuple[str, bool]:
    """The text with bare LF, and whether it is whole."""
    charset = find_parameter(part.parameters, "charset") or "utf-8"
    text, whole = decode_charset(decode_content(part), charset, MAX_TEXT)
    return text.replace("\r\n", "\n"), whole


def _name(part: Part) -> str:
    """The name of an attachment: one line, and never a path."""
    name = find_parameter(part.disposition_parameters, "filename") or find_parameter(part.parameters, "name")
    if "=?" in name:
        name = decode_words(name)
    return (
        "".join(character for character in name if character.isprintable()).replace("/", "_").replace("\\", "_")[:255]
    )
