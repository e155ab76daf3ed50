"""What a row has to be: one filter, or several under AND and OR. Pure."""

import difflib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

from console.answer_errors import Problem
from contracts.setting_types import parse_size
from contracts.statuses import BounceClass, BounceType, Direction, Reason, Status

# The name of a filter: the column that it looks at.
COLUMNS = {
    "direction": "direction",
    "status": "status",
    "from": "sender",
    "to": "recipient",
    "subject": "subject",
    "message_id": "message_id",
    "reference": "reference",
    "channel": "channel",
    "stream": "stream",
    "template": "template",
    "tag": "tag",
    "domain": "domain",
    "spf": "spf",
    "dkim": "dkim",
    "dmarc": "dmarc",
    "bounce_type": "bounce_type",
    "bounce_class": "bounce_class",
    "reason": "reason",
    "smtp_code": "smtp_code",
    "enhanced_code": "enhanced_code",
    "smtp_text": "smtp_text",
    "host": "host",
    "provider": "provider",
    "from_name": "sender_name",
    "mail_id": "mail_id",
    "peer_ip": "peer_ip",
    "source": "source",
    "source_id": "source_id",
    "size": "size",
    "attempts": "attempts",
}
WORDS: dict[str, frozenset[str]] = {
    "direction": frozenset(Direction),
    "status": frozenset(Status),
    "bounce_type": frozenset(BounceType),
    "bounce_class": frozenset(BounceClass),
    "reason": frozenset(Reason),
}
NUMBERS = frozenset({"size", "attempts", "smtp_code"})  # compared, with < and > in front
WITHIN = frozenset(
    {"subject", "from_name", "smtp_text", "host", "template"}
)  # looked for within the text, whatever its case
ANYWHERE = frozenset({"from", "to", "address"})  # the same, where the value is no whole address
TIMES = ("since", "until")
MAX_VALUES = 100  # of one condition
_AS_WRITTEN = WITHIN | {"reference", "channel", "stream", "source", "source_id", "tag", "message_id"}
_NUMBER = re.compile(r"(<=|>=|<|>|=)?\s*(.+)")


@dataclass(frozen=True)
class Condition:
    """One filter: any of `values` (patterns where `*` is a wildcard), or none of them with `exclude`."""

    name: str
    values: tuple[str, ...]
    exclude: bool = False
    hidden: bool = False  # a text is looked at without the local parts of the addresses in it


@dataclass(frozen=True)
class Junction:
    """Several terms: one of them (`any`), or all; or not so, with `exclude`. `said` is how the word `text` was read that became them."""

    terms: tuple["Term", ...]
    any: bool
    exclude: bool = False
    said: str = field(default="", compare=False)
    text: str = field(default="", compare=False)


Term = Condition | Junction


def leaves(terms: tuple[Term, ...]) -> Iterator[Condition]:
    """All conditions within."""
    for term in terms:
        if isinstance(term, Condition):
            yield term
        else:
            yield from leaves(term.terms)


def is_pattern(name: str, value: str) -> bool:
    """Whether the store looks for it within a text (`build_query.py`)."""
    return "*" in value or name in WITHIN or (name in ANYWHERE and "@" not in value)


def known_name(text: str) -> str:
    """The filter that a word names, in capitals or with hyphens; "" when it names none."""
    name = text.lower().replace("-", "_")
    return name if name in COLUMNS or name in TIMES else ""


def unknown_filter(name: str, field: str) -> Problem:
    """The answer to a filter that is not there."""
    close = difflib.get_close_matches(name, [one for one in (*COLUMNS, *TIMES, "q") if one != name], n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else f" (known: {', '.join([*COLUMNS, *TIMES])})"
    return Problem(422, f"there is no filter '{name}'{hint}", code="unknown_filter", field=field)


def make_condition(name: str, value: str, exclude: bool, field: str) -> Condition | None:
    """The condition of one filter as it was written; None where it has no value, which filters nothing. Problem 422 names what is wrong
    by `field`."""
    if value.startswith("!"):
        exclude, value = not exclude, value[1:]
    values = tuple(_clean(name, part.strip(), field) for part in value.split(",") if part.strip())
    if not values:
        return None
    if len(values) > MAX_VALUES:
        raise Problem(422, f"{name} has more than {MAX_VALUES} values", field=field)
    return Condition(name, values, exclude)


def _clean(name: str, value: str, field: str) -> str:
    if name in WORDS:
        return _word(name, value, field)
    if name in NUMBERS:
        return _number(name, value, field)
    if name == "mail_id":
        try:
            return str(uuid.UUID(value))
        except ValueError as error:
            raise Problem(422, f"'{value}' is no mail_id", field=field) from error
    if name == "message_id":
        return value.strip("<>")
    if name in ("from", "to") and value.startswith("@"):
        return f"*{value.lower()}"
    if name in ("from", "to") and value.endswith("@"):
        return f"{value.lower()}*"
    return value if name in _AS_WRITTEN else value.lower()


def _word(name: str, value: str, field: str) -> str:
    word = re.sub(r"[\s-]+", "_", value.lower())
    allowed = WORDS[name]
    if word in allowed:
        return word
    close = difflib.get_close_matches(word, allowed, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(allowed))}"
    raise Problem(422, f"'{value}' is no {name}; {hint}", field=field)


def _number(name: str, value: str, field: str) -> str:
    found = _NUMBER.fullmatch(value)
    operator, digits = (found[1] or "=", found[2]) if found is not None else ("", "")
    try:
        number = parse_size(digits) if name == "size" else int(digits)
        if not 0 <= number < 1 << 62:
            raise ValueError
    except ValueError as error:
        example = "size:>1MiB" if name == "size" else f"{name}:>=2"
        raise Problem(422, f"'{value}' is no {name}; write {example}", field=field) from error
    return f"{operator}{number}"
