"""Mail addresses: their two parts, their patterns, and which forms ask for relaying."""

import re
from functools import lru_cache

from mail.parse_addresses import to_ascii_domain

MAX_ADDRESS = 320  # characters; RFC 5321 section 4.5.3.1 allows 256 octets, and bounce addresses may be longer
_UNQUOTED = re.compile(r"[^\s\x00-\x1f\x7f()<>\[\]:;@\\,\"]+")  # dots in any place, as some providers gave them out
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*"')
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


def split_address(address: str) -> tuple[str, str]:
    """(local part as given, domain lower-cased). ("", "") for the null sender."""
    local, _, domain = address.strip().strip("<>").rpartition("@")
    return local, domain.lower().rstrip(".")


def normalise(address: str) -> str:
    """The address with its domain lower-cased; local parts are case-sensitive (RFC 5321 section 2.4)."""
    local, domain = split_address(address)
    return f"{local}@{domain}" if domain else local


@lru_cache(maxsize=4096)
def _pieces(pattern: str) -> list[str]:
    return pattern.lower().split("*")


def is_address(text: str) -> bool:
    """Whether mail can be sent to this: a local part (quoted where its characters ask for it) and a domain that DNS could know (RFC 5321
    section 4.1.2)."""
    local, _, domain = text.rpartition("@")
    return (
        len(text) <= MAX_ADDRESS
        and (_UNQUOTED.fullmatch(local) is not None or _QUOTED.fullmatch(local) is not None)
        and to_ascii_domain(domain) != ""
    )


def quote_local(text: str) -> str:
    """A local part as it is written: a quoted string where its characters ask for it (RFC 5321 section 4.1.2)."""
    if _UNQUOTED.fullmatch(text) is not None:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote_local(local: str) -> str:
    """What a local part says, without quotes."""
    if len(local) > 1 and local[0] == local[-1] == '"':
        return _QUOTED_PAIR.sub(r"\1", local[1:-1])
    return local


def matches(pattern: str, text: str) -> bool:
    """Whether the text is this pattern; `*` stands for any run of characters, case does not matter. Linear in the text, which
    is a stranger's: each piece between stars is taken at its first place."""
    first, *rest = _pieces(pattern)
    text = text.lower()
    if not rest:
        return text == first
    last = rest.pop()
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in rest:
        place = text.find(piece, place, end)
        if place < 0:
            return False
        place += len(piece)
    return True


def asks_for_relay(address: str) -> bool:
    """A recipient that hides a second address: `a%b@us`, `"a@b"@us`, `b!a@us`, `@us:a@b` (RFC 5321 appendix C)."""
    local, _ = split_address(address)
    return any(character in local for character in '%!@:"')
