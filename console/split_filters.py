"""Searches in several columns at once, as searches of one column each, which an index answers. Pure."""

from dataclasses import replace

from console.build_query import Where, is_indexed, recipients_clause, terms_where
from console.conditions import Condition, Term
from console.parse_filters import Filters


def split_terms(terms: tuple[Term, ...]) -> list[tuple[Term, ...]]:
    """Terms that together find what these find, and no mail twice: an address on either side is first the recipient's, then the
    sender's and not the recipient's. An OR of two columns is looked for without the index of either."""
    for place, term in enumerate(terms):
        sides = _sides(term)
        if len(sides) > 1:
            others = terms[:place] + terms[place + 1 :]
            return [
                (side, *(replace(one, exclude=not one.exclude) for one in sides[:number]), *others)
                for number, side in enumerate(sides)
            ]
    return [terms]


def split_filters(filters: Filters) -> list[Filters]:
    """The same for filters."""
    return [replace(filters, terms=terms) for terms in split_terms(filters.terms)]


def log_where(filters: Filters, domains: frozenset[str], within: str) -> Where:
    """What must hold for a row of the log. `within` is a condition on received_at, under which recipients are found by their own table."""
    where = terms_where(filters.terms, domains)
    for term in filters.terms:
        if clause := recipients_clause(term, where):
            where.add(
                f"(received_at, mail_id) IN (SELECT received_at, mail_id FROM recipients WHERE {within} AND {clause})"
            )
    where.add(within)
    return where


def _sides(term: Term) -> list[Term]:
    """The terms of which one must hold; the term itself where it is not several that are indexed."""
    if isinstance(term, Condition):
        # A domain has so many mails that nearly every block of rows has one: there all is read in any case.
        if term.name == "address" and not term.exclude and all("@" in one for one in term.values):
            return [Condition("to", term.values), Condition("from", term.values)]
        return [term]
    if term.exclude or not term.any or not is_indexed(term):
        return [term]
    return [side for one in term.terms for side in _sides(one)]
