"""What who sees addresses masked may search for: whole addresses and domains. With parts of them, letter by letter, a search would tell
what the mask hides. Pure."""

from dataclasses import replace

from console.answer_errors import Problem
from console.conditions import WITHIN, Condition, Junction, Term

_ADDRESSES = frozenset({"from", "to", "address"})


def limit_search(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """The terms, none of which looks at a part of an address. Of a word that is looked for in several places, those stay where it may be
    looked for. Problem 422 for a filter that asks for a part."""
    return tuple(_limited(term) for term in terms)


def _limited(term: Term) -> Term:
    if isinstance(term, Condition):
        if _asks_for_a_part(term):
            raise _part(term.name)
        return replace(term, hidden=True) if term.name in WITHIN else term
    if not term.said:
        return replace(term, terms=limit_search(term.terms))
    kept = tuple(one for one in term.terms if isinstance(one, Junction) or not _asks_for_a_part(one))
    if not kept:
        raise _part("q")
    said = term.said.replace("address, ", "").replace("address or ", "")
    return replace(term, terms=limit_search(kept), said=term.said if len(kept) == len(term.terms) else said)


def _asks_for_a_part(condition: Condition) -> bool:
    if condition.name in WITHIN:
        return False  # looked for in the text without the addresses in it
    if condition.name in _ADDRESSES:
        return not all(_is_whole(value) for value in condition.values)
    return any("*" in value for value in condition.values)


def _is_whole(value: str) -> bool:
    local, at, domain = value.rpartition("@")
    return (
        bool(at and local and domain) and "*" not in domain and ("*" not in local or local == "*") and "…" not in value
    )


def _part(field: str) -> Problem:
    message = (
        f"you see addresses masked, so {field} takes no part of one and no *: give it whole, or as @ and its domain"
    )
    return Problem(422, message, code="masked", field=field)
