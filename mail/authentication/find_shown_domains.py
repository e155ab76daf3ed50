"""Find the domains that a mail reader may show for a field of addresses, in whatever spelling: to be suspected, never to be trusted."""

import re
import unicodedata
from collections.abc import Iterable

from mail.decode_text import decode_words
from mail.parse_addresses import to_ascii_domain

MAX_LABELS = 8  # read of one name, from its end: the depth of DMARC's tree walk (RFC 9989 §4.10)
MAX_NESTED = 3  # encoded words within encoded words

_NAME = re.compile(r"""@[\s.]*([^\s@<>,;:()\[\]]+)""")
_DOTS = re.compile(r"[.\u3002\uff0e\uff61]+")
_SPACED_DOT = re.compile(r"[ ]?\.[ ]?")
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn"))
_SHOWN_AS_NOTHING = str.maketrans("", "", "\\\"'`\ufffd\u034f\u115f\u1160\u3164\uffa0")


def normalise_shown(text: str) -> str:
    """`text` in the way a reader may show it, in lower case: encoded words decoded, compatibility forms as plain ones, without what is
    invisible, quotes and backslashes."""
    for _ in range(MAX_NESTED):
        text = decode_words(text)
        if "=?" not in text:
            break
    shown = unicodedata.normalize("NFKC", text)
    shown = "".join(
        " " if c.isspace() else c for c in shown if c.isspace() or unicodedata.category(c) not in _INVISIBLE
    )
    shown = unicodedata.normalize("NFKC", shown.translate(_SHOWN_AS_NOTHING))
    return _DOTS.sub(".", _SPACED_DOT.sub(".", shown)).lower()


def find_shown_domains(text: str) -> tuple[str, ...]:
    """The domain after each at sign, in A-labels; of a name that is none, its longest end that is one."""
    return _domains(normalise_shown(text))


def shows_domain(text: str, domains: Iterable[str]) -> bool:
    """Whether `text` shows one of `domains` or a subdomain, be it in a name or in an address."""
    shown = normalise_shown(text)
    addresses = _domains(shown)
    for domain in map(str.lower, domains):
        if any(f".{name}".endswith(f".{domain}") for name in addresses):
            return True
        if domain in shown and re.search(rf"(?<![\w-]){re.escape(domain)}(?![\w-]|\.\w)", shown) is not None:
            return True
    return False


def _domains(shown: str) -> tuple[str, ...]:
    found = (_readable_end(name) for name in _NAME.findall(shown))
    return tuple(dict.fromkeys(name for name in found if name))


def _readable_end(name: str) -> str:
    labels = [label for label in name.rsplit(".", MAX_LABELS + 1) if label]
    if not labels:
        return ""
    labels[-1] = labels[-1].rstrip("!?*=~|/+&%$#^{}-_") or labels[-1]
    for start in range(max(0, len(labels) - MAX_LABELS), len(labels)):
        if domain := to_ascii_domain(".".join(labels[start:])):
            return domain
    return ""
