"""Read the addresses of a From, To or Sender field (RFC 5322 §3.4), tolerant, linear and never raising.

Where a text can be read in more than one way (`ceo@bank.example <x@evil.example>`, `a@b@c`), every reading is
returned: a caller that needs one domain then sees that there are several.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import idna

MAX_INPUT = 32 * 1024  # characters read of one field
MAX_ADDRESSES = 1000


class Address(NamedTuple):
    """One mailbox. `domain` is in lower-case A-labels, or empty where there is none."""

    display: str
    local: str
    domain: str

    @property
    def spec(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local


_ATOM = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+"
_SPEC = rf"({_ATOM})@([A-Za-z0-9.-]+)"
_WORDS = r"""[^"\\(),:;<>@\[\]]*"""
_PLAIN = re.compile(rf"""(?:"({_WORDS})"[ \t]*|({_WORDS}))<{_SPEC}>|{_SPEC}""")
_SPECIAL = frozenset('()<>,;:@[]"\\')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\\.|[()<>,;:@\[\]]|[^"\\()<>,;:@\[\]]+|["\\]', re.DOTALL)


def parse_addresses(value: str) -> list[Address]:
    """Every mailbox that `value` may name, in order; at most MAX_ADDRESSES."""
    value = value[:MAX_INPUT].strip()
    plain = _PLAIN.fullmatch(value)
    if plain is not None:
        quoted, words, local, domain, bare_local, bare_domain = plain.groups()
        return [Address((quoted or words or "").strip(), local or bare_local, to_ascii_domain(domain or bare_domain))]
    addresses: list[Address] = []
    for part in _split_list(_without_comments(_TOKEN.findall(value))):
        addresses.extend(_read_mailbox(part))
        if len(addresses) >= MAX_ADDRESSES:
            break
    return addresses[:MAX_ADDRESSES]


def count_mailboxes(value: str) -> int:
    """How many mailboxes the list `value` has (RFC 5322 §3.4); 0 where it is none, so that programs may read it in different ways:
    text beside an address, two addresses in one element, a group, a quote or a bracket that is never closed."""
    if len(value) > MAX_INPUT:
        return 0
    plain = _PLAIN.fullmatch(value.strip())
    if plain is not None:
        return int(bool(to_ascii_domain(plain[4] or plain[6])))
    parts = _split_list(_without_comments(_TOKEN.findall(value)))
    return len(parts) if all(map(_is_mailbox, parts)) and not {":", ";"} & set(_TOKEN.findall(value)) else 0


def _is_mailbox(tokens: list[str]) -> bool:
    tokens = [token.strip() for token in tokens if token.strip()]
    if "<" in tokens:
        start = tokens.index("<")
        if tokens[-1] != ">" or _SPECIAL.intersection(tokens[:start]):
            return False
        tokens = tokens[start + 1 : -1]
    if len(tokens) != 3 or tokens[1] != "@" or (len(tokens[0].split()) != 1 and not tokens[0].startswith('"')):
        return False
    return not _SPECIAL.intersection(tokens[::2]) and bool(to_ascii_domain(tokens[2]))


@lru_cache(maxsize=8192)
def to_ascii_domain(domain: str) -> str:
    """Lower-case A-labels without the final dot (RFC 5890 §2.3); "" where the text is no domain name."""
    domain = domain.strip().rstrip(".").lower()
    if not domain or len(domain) > 1000:
        return ""
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError, IndexError):
            return ""
    labels = domain.split(".")
    if len(domain) > 253 or any(not label or len(label) > 63 for label in labels):
        return ""
    return domain if _DOMAIN.fullmatch(domain) else ""


_DOMAIN = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")


def _without_comments(tokens: list[str]) -> list[str]:
    """Replace every balanced comment by a space; a parenthesis that is never closed is ordinary text."""
    opened: list[int] = []
    kept: list[str] = []
    for token in tokens:
        if token == "(":
            opened.append(len(kept))
            kept.append(token)
        elif token == ")" and opened:
            start = opened.pop()
            del kept[start:]
            kept.append(" ")
        else:
            kept.append(token)
    return kept


def _split_list(tokens: list[str]) -> list[list[str]]:
    """Split at commas and group delimiters that stand outside of angle brackets and domain literals."""
    parts: list[list[str]] = [[]]
    angle = literal = False
    for token in tokens:
        if token == "[":
            literal = True
        elif token == "]":
            literal = False
        elif token == "<":
            angle = True
        elif token == ">":
            angle = False
        if token in (",", ";", ":") and not angle and not literal:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _read_mailbox(tokens: list[str]) -> list[Address]:
    """The addresses in one element: each <…>, and each bare word with an @ outside of the brackets."""
    outside: list[str] = []
    inside: list[list[str]] = []
    angle = False
    for token in tokens:
        if token == "<":
            angle = True
            inside.append([])
            outside.append(" ")
        elif token == ">":
            angle = False
        elif angle:
            inside[-1].append(token)
        else:
            outside.append(token)
    display = "".join(_unquote(token) for token in outside).strip()
    found = [address for spec in inside for address in _read_spec(spec, display)]
    if "@" in outside:
        words: list[list[str]] = [[]]
        for token in outside:
            if "@" not in token and not token.startswith('"') and any(c.isspace() for c in token):
                pieces = token.split()
                near = not token[0].isspace() and pieces
                if near:
                    words[-1].append(pieces.pop(0))
                words.extend([piece] for piece in pieces)
                if token[-1].isspace():
                    words.append([])
            else:
                words[-1].append(token)
        for word in _join_at_signs(words):
            found.extend(_read_spec(word, "" if not inside else display))
    return found


def _join_at_signs(words: list[list[str]]) -> list[list[str]]:
    """Space around @ and around dots is allowed (RFC 5322 §4.4): `joe @ example.org` is one address."""
    joined: list[list[str]] = []
    for word in words:
        if not word:
            continue
        if joined and (word[0][0] in "@." or joined[-1][-1][-1] in "@."):
            joined[-1].extend(word)
        else:
            joined.append(list(word))
    return [word for word in joined if "@" in word]


def _read_spec(tokens: list[str], display: str) -> list[Address]:
    if tokens and tokens[0] == "@" and ":" in tokens:  # a source route (RFC 5322 §4.4): skip it
        tokens = tokens[len(tokens) - tokens[::-1].index(":") :]
    if "@" not in tokens:
        return []
    ats = [index for index, token in enumerate(tokens) if token == "@"]
    found: list[Address] = []
    for at in ats[-4:]:
        following = next((other for other in ats if other > at), len(tokens))
        domain = "".join("".join(tokens[at + 1 : following]).split())
        local = "".join(token.strip() for token in tokens[:at])
        found.append(Address(display, local, to_ascii_domain(domain)))
    return found


def _unquote(token: str) -> str:
    if len(token) > 1 and token[0] == token[-1] == '"':
        return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)
    return token[1:] if len(token) == 2 and token[0] == "\\" else token
