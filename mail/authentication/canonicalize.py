"""Canonical forms of headers and bodies for DKIM and ARC (RFC 6376 §3.4), each linear in its input."""

import hashlib
from typing import Protocol

from mail.parse_headers import Field

_LONG_RUNS = (b" " * 512, b" " * 32, b" " * 4)


class Hash(Protocol):
    """The part of a hashlib object that hashing headers needs."""

    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


def relaxed_body(body: bytes) -> bytes:
    """RFC 6376 §3.4.4: runs of WSP are one space, none at line ends, no empty lines at the end."""
    if not body:
        return b""
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    body = _compress(body)
    if b" \r\n" in body:
        body = body.replace(b" \r\n", b"\r\n")
    body = _without_last_empty_lines(body)
    return b"" if body == b"\r\n" else body


def simple_body(body: bytes) -> bytes:
    """RFC 6376 §3.4.3: as it came, without empty lines at the end; an empty body is one CRLF."""
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    return _without_last_empty_lines(body)


def relaxed_field(field: Field) -> bytes:
    """RFC 6376 §3.4.2, without the CRLF at the end."""
    return field.name + b":" + relaxed_value(field.value)


def relaxed_value(value: bytes) -> bytes:
    return _compress(value.replace(b"\r\n", b"")).strip(b" ")


def canonical_body(body: bytes, relaxed: bool) -> bytes:
    return relaxed_body(body) if relaxed else simple_body(body)


def hash_body(canonical: bytes, length: int | None) -> bytes:
    """SHA-256 of the canonical body, or of the first `length` bytes of it (RFC 6376 §3.7)."""
    signed = canonical if length is None or length >= len(canonical) else memoryview(canonical)[:length]
    return hashlib.sha256(signed).digest()


def select_fields(fields: list[Field], names: list[bytes], skip: int | None = None) -> list[Field]:
    """The fields that `names` sign, each name taking the next instance from the bottom (RFC 6376 §5.4.2).

    `skip` is the position of the signature itself. A From that is left over is appended: a signature never
    verifies beside a From that it does not cover."""
    wanted = {name.lower() for name in names}
    wanted.add(b"from")
    stacks: dict[bytes, list[Field]] = {}
    for position, field in enumerate(fields):
        if field.name in wanted and position != skip:
            stacks.setdefault(field.name, []).append(field)
    selected = [stacks[name].pop() for name in map(bytes.lower, names) if stacks.get(name)]
    return selected + stacks.get(b"from", [])[-1:]


def hash_fields(hasher: Hash, selected: list[Field], own: Field, relaxed: bool) -> bytes:
    """Hash the selected fields and the signature's own field, whose b= is emptied and CRLF left off (§3.7)."""
    blank = without_signature(own)
    if relaxed:
        for field in selected:
            hasher.update(relaxed_field(field) + b"\r\n")
        hasher.update(relaxed_field(blank))
    else:
        for field in selected:
            hasher.update(field.raw + b"\r\n")
        hasher.update(blank.raw)
    return hasher.digest()


def without_signature(field: Field) -> Field:
    """The field with an empty b= tag, white space around its value included (RFC 6376 §3.5 b=)."""
    parts = field.value.split(b";")
    for position, part in enumerate(parts):
        name, equals, _ = part.partition(b"=")
        if equals and name.strip() == b"b":
            parts[position] = name + equals
            break
    return Field(field.name, field.raw[: field.colon + 1] + b";".join(parts), field.colon)


def _compress(text: bytes) -> bytes:
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    for run in _LONG_RUNS:
        if run in text:
            text = text.replace(run, b" ")
    while b"  " in text:  # each pass halves every run: linear but for a logarithm of the longest run
        text = text.replace(b"  ", b" ")
    return text


def _without_last_empty_lines(body: bytes) -> bytes:
    """Reduce the CRLFs at the end to one. `body` ends with CRLF."""
    end = len(body.rstrip(b"\r\n"))
    lone = body.rfind(b"\r\r", end)  # a lone CR belongs to the text
    if lone >= 0:
        end = lone + 1
    return body[: end + 2]
