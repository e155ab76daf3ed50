"""Find the author domain of a message: the domain in From (RFC 9989 §5.3.1)."""

import re
import unicodedata

import msgspec

from mail.decode_text import decode_words
from mail.parse_addresses import Address, count_mailboxes, parse_addresses, to_ascii_domain
from mail.parse_headers import Flag, Message

MAX_FROM = 16 * 1024  # bytes of a From field; what lies beyond could name anyone
MAX_DOMAINS = 4  # author domains that are evaluated where several fields claim From
# A From that other parsers may read otherwise never earns a DMARC pass.
DOUBTFUL = frozenset(
    (Flag.MULTIPLE_FROM, Flag.HIDDEN_FROM, Flag.OBSOLETE_FROM, Flag.BOM, Flag.HEADER_CAP, Flag.LEADING_FOLD)
)


# What earns no trust and is no way to write an author at all (`reject_on: bad-from`).
BAD_FROM = DOUBTFUL | {
    Flag.NO_FROM,
    Flag.FROM_SEVERAL,
    Flag.FROM_SEVERAL_DOMAINS,
    Flag.FROM_MALFORMED,
    Flag.FROM_UNPARSABLE,
}
_ADDRESS = re.compile(r"@\s*([\w-]+(?:\.[\w-]+)+)")


class Author(msgspec.Struct, frozen=True):
    """The claimed author. `domains` holds more than one only where From is ambiguous."""

    address: str = ""
    domains: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    doubtful: bool = False
    several_in_one: bool = False  # one field with several domains: exempt from DMARC


def find_author(message: Message) -> Author:
    """Never raises; an unreadable From has no domains."""
    flags: list[Flag] = []
    fields = message.all(b"from")
    per_field = [parse_addresses(field.text()) for field in fields[:MAX_DOMAINS]]
    found = [address for addresses in per_field for address in addresses]
    domains = tuple(dict.fromkeys(address.domain for address in found if address.domain))
    if any(len(field.value) > MAX_FROM for field in fields):
        flags.append(Flag.HEADER_CAP)
    mailboxes = [count_mailboxes(field.text()) for field in fields[:MAX_DOMAINS]]
    if 0 in mailboxes:
        flags.append(Flag.FROM_MALFORMED)
    if any(_names_other(address) for address in found):
        flags.append(Flag.DISPLAY_NAME_ADDRESS)
    several = any(len({address.domain for address in addresses}) > 1 for addresses in per_field)
    if fields and not domains:
        flags.append(Flag.FROM_UNPARSABLE)
    if several:
        flags.append(Flag.FROM_SEVERAL_DOMAINS)
    elif any(count > 1 for count in mailboxes):
        flags.append(Flag.FROM_SEVERAL)
    return Author(
        address=found[0].spec[:320] if found else "",
        domains=domains[:MAX_DOMAINS],
        flags=tuple(flags),
        doubtful=bool(DOUBTFUL & {*message.flags, *flags}),
        several_in_one=several,
    )


def _names_other(address: Address) -> bool:
    """True where the display name shows an address of another domain than the one that is used: plain, in encoded words, or with an at
    sign that only looks like one."""
    display = unicodedata.normalize("NFKC", decode_words(address.display[:1000]))
    shown = {to_ascii_domain(domain) for domain in _ADDRESS.findall(display)}
    return bool(shown - {address.domain, ""})
