"""Taking addresses out of text, where only a test for an address is known and not the address itself."""

import re
from collections.abc import Callable

# More than an address may be (RFC 5321 section 4.1.2): what of it is the address, `_known` finds.
_CANDIDATE = re.compile(r"[^\s<>\"(),;:\\\[\]@]{1,320}@[^\W_](?:[\w.-]{0,252}[^\W_])?")
_BEGINS_AFTER = re.compile(
    r"[^\w.+-]"
)  # an address may begin after it, as in `mailto=anna@example.com` or `'anna@example.com'`


def redact_addresses(text: str, is_wanted: Callable[[str], bool], instead: str) -> str:
    """The text with each address that is wanted replaced. An address whose local part is a quoted string is not found."""
    if "@" not in text:
        return text
    return _CANDIDATE.sub(lambda found: _replace(found[0], is_wanted, instead), text)


def _replace(candidate: str, is_wanted: Callable[[str], bool], instead: str) -> str:
    local = candidate.index("@")
    for begin in (0, *(found.end() for found in _BEGINS_AFTER.finditer(candidate, 0, local))):
        if begin < local and is_wanted(candidate[begin:]):
            return candidate[:begin] + instead
    return candidate
