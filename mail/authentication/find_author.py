"""Find the author domain of a message: the domain in From (RFC 9989 §5.3.1)."""

import re

import msgspec

from mail.authentication.find_shown_domains import find_shown_domains, normalise_shown
from mail.parse_addresses import MAX_ADDRESSES, Address, count_mailboxes, parse_addresses
from mail.parse_headers import Flag, Message

MAX_FROM = 16 * 1024  # bytes of a From field; what lies beyond could name anyone
MAX_DOMAINS = 4  # author domains that are evaluated where From is ambiguous
MAX_FIELDS = 20  # From fields that are read
# A From that other parsers may read otherwise never earns a DMARC pass.
DOUBTFUL = frozenset(
    (
        Flag.MULTIPLE_FROM,
        Flag.HIDDEN_FROM,
        Flag.OBSOLETE_FROM,
        Flag.BOM,
        Flag.HEADER_CAP,
        Flag.LEADING_FOLD,
        Flag.AUTHOR_UNCHECKED,
    )
)


# What earns no trust and is no way to write an author at all (`reject_on: bad-from`).
BAD_FROM = DOUBTFUL | {
    Flag.NO_FROM,
    Flag.FROM_SEVERAL,
    Flag.FROM_SEVERAL_DOMAINS,
    Flag.FROM_MALFORMED,
    Flag.FROM_UNPARSABLE,
}
_UTF_7 = re.compile(r"=\?[^?\s]*utf-?7", re.IGNORECASE)  # no charset of mail (RFC 2152), and yet some programs read it


class Author(msgspec.Struct, frozen=True):
    """The claimed author. `domains` holds more than one only where From is ambiguous."""

    address: str = ""
    domains: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    doubtful: bool = False
    several_in_one: bool = False  # one field with several domains: never a DMARC pass


def find_author(message: Message) -> Author:
    """Never raises. What mail readers may show for a From that we cannot read is among `domains`, and makes the author doubtful: it can
    fail DMARC and never pass."""
    flags: list[Flag] = []
    fields = message.all(b"from")
    texts = [field.text() for field in fields[:MAX_FIELDS]]
    per_field = [parse_addresses(text) for text in texts]
    found = [address for addresses in per_field for address in addresses]
    read = tuple(dict.fromkeys(address.domain for address in found if address.domain))
    if any(len(field.value) > MAX_FROM for field in fields) or any(len(one) >= MAX_ADDRESSES for one in per_field):
        flags.append(Flag.HEADER_CAP)
    mailboxes = [count_mailboxes(text) for text in texts]
    if 0 in mailboxes:
        flags.append(Flag.FROM_MALFORMED)
    if any(map(_shows_other, texts, per_field)):
        flags.append(Flag.DISPLAY_NAME_ADDRESS)
    several = any(len({address.domain for address in addresses}) > 1 for addresses in per_field)
    if fields and not read:
        flags.append(Flag.FROM_UNPARSABLE)
    if several:
        flags.append(Flag.FROM_SEVERAL_DOMAINS)
    elif any(count > 1 for count in mailboxes):
        flags.append(Flag.FROM_SEVERAL)
    unreadable = any(map(_is_unreadable, texts, per_field))
    malformed = [text[:MAX_FROM] for text, count in zip(texts, mailboxes, strict=True) if not count]
    shown = tuple(name for text in malformed for name in find_shown_domains(text)) if unreadable or not several else ()
    domains = tuple(dict.fromkeys((*read, *shown)))
    exempt = several and len(fields) == 1 and not unreadable
    cut = len(fields) > MAX_FIELDS or len(domains) > MAX_DOMAINS
    hidden = {Flag.HEADER_CAP, Flag.HIDDEN_FROM}.intersection((*message.flags, *flags))
    if unreadable or cut or hidden or (several and len(fields) > 1):
        flags.append(Flag.AUTHOR_UNCHECKED)
    return Author(
        address=found[0].spec[:320] if found else "",
        domains=domains[:MAX_DOMAINS],
        flags=tuple(flags),
        doubtful=bool(DOUBTFUL.intersection((*message.flags, *flags))) or domains != read,
        several_in_one=exempt,
    )


def _is_unreadable(text: str, addresses: list[Address]) -> bool:
    """True where a mail reader may show an address that has no domain for us. A From of a name alone (`MAILER-DAEMON`) shows none."""
    if addresses:
        return not all(address.domain for address in addresses)
    shown = normalise_shown(text[:MAX_FROM])
    return "@" in shown or "=?" in shown or "=?utf-7" in text.lower()


def _shows_other(text: str, addresses: list[Address]) -> bool:
    """True where the field shows an address of another domain than it is from: in a name, a comment or a quoted local part, plain, in
    encoded words, or with an at sign that only looks like one."""
    if text.isascii() and text.count("@") < 2 and "=?" not in text:
        return False
    if not addresses or _UTF_7.search(text[:MAX_FROM]) is not None:
        return bool(addresses)
    return bool(set(find_shown_domains(text[:MAX_FROM])).difference(address.domain for address in addresses))
