"""A search in words: how its line was read, what may have been meant, and the line again without a part of it. Pure."""

import re

from console.conditions import ANYWHERE, NUMBERS, WITHIN, WORDS, Condition, Term
from console.read_query import LONG, OPERATORS

LABELS = {
    "to": "recipient",
    "from": "sender",
    "message_id": "Message-ID",
    "smtp_text": "answer",
    "smtp_code": "reply code",
    "enhanced_code": "enhanced code",
    "from_name": "sender's name",
    "peer_ip": "peer",
    "source_id": "id at its source",
    "spf": "SPF",
    "dkim": "DKIM",
    "dmarc": "DMARC",
}


def describe(term: Term) -> str:
    """One part of a search, for people."""
    if isinstance(term, Condition):
        return _describe_condition(term)
    if term.said:
        return f"not so: {term.said}" if term.exclude else term.said
    inner = (" or " if term.any else " and ").join(describe(one) for one in term.terms)
    return f"not ({inner})" if term.exclude else f"({inner})"


def write_query(terms: tuple[Term, ...]) -> str:
    """The line that reads as these terms."""
    many = sum(map(_words, terms)) > LONG  # so many bare words would be read as one
    return " ".join(_write(term, quote=many) for term in terms)


def suggest(line: str) -> list[str]:
    """Lines that may have been meant: a word that is one of a filter's own."""
    found = []
    for word in line.split():
        plain = re.sub(r"-+", "_", word.lower())
        names = [name for name, words in WORDS.items() if plain in words]
        if names:
            found.append(line.replace(word, f"{names[0]}:{plain}", 1))
    return list(dict.fromkeys(found))[:3]


def _describe_condition(one: Condition) -> str:
    label = LABELS.get(one.name, one.name.replace("_", " "))
    if one.name in NUMBERS:
        values = [value.removeprefix("=") for value in one.values]
    else:
        values = [value if one.name in WORDS else f"“{value}”" for value in one.values]
    contains = one.name in WITHIN or (one.name in ANYWHERE and "@" not in "".join(one.values))
    verb = {(False, False): "is", (False, True): "is not", (True, False): "contains", (True, True): "does not contain"}
    return f"{label} {verb[contains, one.exclude]} {' or '.join(values)}"


def _words(term: Term) -> int:
    """Words without a filter."""
    return 0 if isinstance(term, Condition) else 1 if term.said else sum(map(_words, term.terms))


def _write(term: Term, *, quote: bool) -> str:
    sign = "-" if term.exclude else ""
    if isinstance(term, Condition):
        values = ",".join(term.values)
        return sign + _quoted(values) if term.name == "address" else f"{sign}{term.name}:{_quoted(values)}"
    if term.said:
        return sign + (f'"{term.text}"' if quote else _quoted(term.text))
    return f"{sign}({(' OR ' if term.any else ' ').join(_write(one, quote=quote) for one in term.terms)})"


def _quoted(text: str) -> str:
    plain = re.fullmatch(r"[^\s():<>!-][^\s():<>]*", text) and text not in OPERATORS
    return text if plain else f'"{text}"'
