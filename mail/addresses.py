"""Mail addresses: their two parts, their patterns, and which forms ask for relaying."""

from functools import lru_cache


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
