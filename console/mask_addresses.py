"""Mask the addresses in a text, whatever it is: HTML, JSON, CSV, a URL within one of them. Pure.

`anna@acme.example` becomes `an…@acme.example`: the same address is the same mask, its domain stays. What has the form of an address is one:
Message-IDs of other people's servers are masked too. Addresses of our own domains stay, but for those that carry another one (VERP, SRS:
`anna=acme.example@ours.example`).
"""

import html
import re
from collections.abc import Collection
from urllib.parse import unquote

SHOWN = 2  # characters of the local part, at most half of it
CARRIES = frozenset("=%!")  # in a local part of ours: another address (VERP, SRS, the percent hack, a UUCP path)
LONGEST = 512  # characters that are looked at before the @
_AT = re.compile(r"@|%40|%2540|&#64;|&#x40;|&commat;|\\u0040|\uff20|\\uff20", re.IGNORECASE)
_DOMAIN = re.compile(r"\[[0-9A-Fa-fIPv:.]{2,60}\]|\w(?:[\w.-]|%[0-9A-Fa-f]{2}){0,253}")
_ENDS = frozenset('"<>()[],;:@\\')
_AROUND = "'`{"  # what an address may begin with, and what more often stands around one
_NOTHING = re.compile(r"[\s<>\"'&,;]|\Z")  # after an @ that ends a text
_QUOTES_IN_URL = ("%22", "%2522")
_ENDS_IN_URL = _ENDS | frozenset("/?&=#+!")
_ENCODED_ENDS = frozenset({"3A", "20", "22", "3C", "3E", "28", "29", "2C", "3B", "5B", "5D", "0A", "0D", "09"})
_ENTITIES = ("&#39;", "&amp;")
_QUOTES = ('\\"', '""', "&#34;", "&quot;")  # as JSON, CSV and HTML have one within a text


def mask_addresses(text: str, ours: Collection[str] = (), known: Collection[str] = ()) -> str:
    """The text with its addresses masked, but those of the domains `ours`, and those in `known` (in lower case)."""
    parts: list[str] = []
    done = 0
    before = (0, 0)  # where the address before begins, and where its @ ends
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        if at.start() < done or (domain is None and _NOTHING.match(text, at.end())):
            continue
        in_url = at[0].startswith("%")
        start = _begin(text, done, at.start(), in_url)
        if (
            before[1] == start and done <= before[0] < start
        ):  # `anna@ours.example@acme.example` is one, of the last domain
            start = before[0]
        before = (start, at.end())
        local, name = text[start : at.start()], domain[0].rstrip(".").lower() if domain else ""
        plain = _plain(local, in_url)
        if not local or _stays(plain, unquote(name) if in_url else name, ours, known):
            continue
        parts += [text[done:start], _shown(plain, in_url), "%E2%80%A6" if in_url else "…"]
        done = at.start()
    return "".join([*parts, text[done:]])


def addresses_in(text: str) -> list[str]:
    """The addresses of a text that is neither HTML nor encoded, in lower case."""
    found = []
    for at in re.finditer("@", text):
        domain = _DOMAIN.match(text, at.end())
        start = _begin(text, 0, at.start(), False)
        if domain is not None and start < at.start():
            found.append(text[start : domain.end()].rstrip(".").lower())
    return found


def _stays(local: str, domain: str, ours: Collection[str], known: Collection[str]) -> bool:
    return (domain in ours and not CARRIES & set(local)) or f"{local}@{domain}".lower() in known


def _plain(local: str, in_url: bool) -> str:
    return unquote(local) if in_url else html.unescape(local)


def _shown(local: str, in_url: bool) -> str:
    """What is shown of a local part: letters and digits that need no encoding."""
    shown = local[: min(SHOWN, len(local) // 2)]
    found = (shown[:length] for length in range(len(shown), 0, -1))
    return next((one for one in found if one.isalnum() and (one.isascii() or not in_url)), "")


def _begin(text: str, floor: int, end: int, in_url: bool) -> int:
    """Where the local part begins that ends at `end`."""
    floor = max(floor, end - LONGEST)
    if (quoted := _begin_of_quoted(text, floor, end, in_url)) is not None:
        return quoted
    ends, place = _ENDS_IN_URL if in_url else _ENDS, end
    while place > floor:
        entity = next((one for one in _ENTITIES if text.startswith(one, place - 5)), "") if not in_url else ""
        if entity and place - 5 >= floor:
            place -= 5
        elif in_url and place - 3 >= floor and text[place - 3] == "%":
            if text[place - 2 : place].upper() in _ENCODED_ENDS:
                break
            place -= 3
        elif text[place - 1] in ends or text[place - 1].isspace():
            if text[place - 1] != "\\" or text[place : place + 1] != "u" or end - place < 5:
                break
            place -= 1  # \\u00e9 in JSON is a letter
        else:
            place -= 1
    return _skip_what_is_before(text, place, end)


def _skip_what_is_before(text: str, place: int, end: int) -> int:
    """Past what is no part of an address: the letter of `\\n` in JSON, an apostrophe or a bracket around it."""
    if place and text[place - 1] == "\\" and place < end and text[place] in "nrtbf":
        place += 1
    while place < end and (text[place] in _AROUND or text.startswith("&#39;", place)):
        place += 1 if text[place] in _AROUND else 5
    return place


def _begin_of_quoted(text: str, floor: int, end: int, in_url: bool) -> int | None:
    """Where a quoted local part begins (`"anna b"@acme.example`); None where there is none."""
    quote = next((one for one in (_QUOTES_IN_URL if in_url else _QUOTES) if text.endswith(one, floor, end)), None)
    if quote is None:
        return None
    inner = end - len(quote)
    opening = text.rfind(quote, floor, inner)
    while opening > floor and text[opening - 1] == "\\":  # a quotation mark within it
        opening = text.rfind(quote, floor, opening)
    return opening if opening >= 0 else inner
