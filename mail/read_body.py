"""The readable parts of a message: text, HTML and attachments (RFC 2045, RFC 2183). Bounded, never raises.

Python's `email` parser recurses on nested parts; what is nested deeper than it bears is left out and flagged.
"""

import email
import email.message
import email.policy
from email.errors import MessageError
from email.header import decode_header, make_header

from msgspec import Struct

MAX_PARTS = 1000
MAX_DEPTH = 50
MAX_TEXT = 1 << 20  # characters of text and of HTML


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
    if raw.count(b"boundary") > 2 * MAX_PARTS or raw.count(b"\n--") > 20 * MAX_PARTS:
        return Body(complete=False)
    try:
        root = email.message_from_bytes(raw, policy=email.policy.compat32)
        return _collect(root)
    except Exception:  # the parser's own errors are of a dozen kinds, and this text is a stranger's
        return Body(complete=False)


def _collect(root: email.message.Message) -> Body:
    text, html, complete = "", "", True
    attachments: list[Attachment] = []
    stack: list[tuple[email.message.Message, int]] = [(root, 0)]
    seen = 0
    while stack:
        part, depth = stack.pop()
        seen += 1
        if seen > MAX_PARTS or depth > MAX_DEPTH:
            complete = False
            continue
        if part.get_content_maintype() == "multipart":
            parts = part.get_payload()
            if isinstance(parts, list):
                stack.extend(
                    (inner, depth + 1) for inner in reversed(parts) if isinstance(inner, email.message.Message)
                )
            continue
        kind, name = part.get_content_type(), _name(part)
        attached = part.get_content_disposition() == "attachment" or bool(name)
        if kind == "message/rfc822":
            inner = part.get_payload()
            first = inner[0] if isinstance(inner, list) and inner else None
            content = first.as_bytes() if isinstance(first, email.message.Message) else b""
            attachments.append(Attachment(name or "message.eml", kind, "", content))
        elif kind == "text/plain" and not attached and not text:
            text, whole = _text(part)
            complete &= whole
        elif kind == "text/html" and not attached and not html:
            html, whole = _text(part)
            complete &= whole
        else:
            cid = str(part.get("content-id") or "").strip("<> ")
            attachments.append(Attachment(name, kind, cid[:200], _octets(part)))
    return Body(text, html, tuple(attachments), complete)


def _octets(part: email.message.Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(part: email.message.Message) -> tuple[str, bool]:
    octets = _octets(part)
    charset = str(part.get_content_charset() or "utf-8")
    try:
        text = octets.decode(charset, "replace")
    except (LookupError, ValueError):
        text = octets.decode("utf-8", "replace")
    text = text.replace("\r\n", "\n")
    return text[:MAX_TEXT], len(text) <= MAX_TEXT


def _name(part: email.message.Message) -> str:
    name = part.get_filename() or ""
    if "=?" in name and len(name) < 2000:
        try:
            name = str(make_header(decode_header(name)))
        except (ValueError, LookupError, MessageError):
            pass  # shown as it was written
    return (
        "".join(character for character in name if character.isprintable()).replace("/", "_").replace("\\", "_")[:255]
    )
