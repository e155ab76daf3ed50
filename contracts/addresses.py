"""Mail addresses: their two parts, their patterns, and which forms ask for relaying."""

import re
from functools import lru_cache

from contracts.settings import Settings


def split_address(address: str) -> tuple[str, str]:
    """(local part as given, domain lower-cased). ("", "") for the null sender."""
    local, _, domain = address.strip().strip("<>").rpartition("@")
    return local, domain.lower().rstrip(".")


def normalise(address: str) -> str:
    """The address with its domain lower-cased; local parts are case-sensitive (RFC 5321 section 2.4)."""
    local, domain = split_address(address)
    return f"{local}@{domain}" if domain else local


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.lower().split("*")), re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Whether the text is this pattern; `*` stands for any run of characters, case does not matter."""
    return _compiled(pattern).fullmatch(text.lower()) is not None


def asks_for_relay(address: str) -> bool:
    """A recipient that hides a second address: `a%b@us`, `"a@b"@us`, `b!a@us`, `@us:a@b` (RFC 5321 appendix C)."""
    local, _ = split_address(address)
    return any(character in local for character in '%!@:"')


def channel_of(recipient: str, settings: Settings) -> str:
    """The channel that an address belongs to; "" for none."""
    for name, channel in settings.channels.items():
        if channel.address is not None and matches(channel.address, recipient):
            return name
    return ""
