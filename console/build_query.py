"""From conditions to SQL: every value is a bound parameter, every column comes from a list here. Pure."""

import re
from dataclasses import dataclass, field
from typing import Any

from console.conditions import COLUMNS, NUMBERS, WITHIN, Condition, Junction, Term, leaves

# Filters with an index that finds keys without a fold. Their columns do not change over a mail's life.
INDEXED = frozenset({"from", "to", "message_id", "reference", "domain", "subject", "address", "mail_id"})
_LOCAL_PARTS = r'(?:"[^"]*"|[^\\s<>()\\[\\],;:"]+)(?:@|%40|\\+40)'  # as it stands in a literal of SQL
_NUMBER_AT = re.compile(r"(<=|>=|<|>|=)(\d+)")


@dataclass
class Where:
    """A growing WHERE clause and its parameters."""

    clauses: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any, kind: str) -> str:
        """The placeholder of a value."""
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"{{{name}:{kind}}}"

    def add(self, clause: str) -> None:
        """One more thing that must hold."""
        self.clauses.append(clause)

    @property
    def sql(self) -> str:
        """The clause; `1` when nothing must hold."""
        return " AND ".join(self.clauses) or "1"


def terms_where(terms: tuple[Term, ...], domains: frozenset[str]) -> Where:
    """What must hold for a row. `domains` limits whose mail may be seen; empty means all."""
    where = Where()
    for term in terms:
        where.add(_term(term, where))
    if domains:
        # Our own side of a mail: the recipient's domain inbound, the author's domain outbound.
        allowed = where.bind(sorted(domains), "Array(String)")
        where.add(f"if(direction = 'inbound', recipient_domain, sender_domain) IN {allowed}")
    return where


def has_indexed(terms: tuple[Term, ...]) -> bool:
    """Whether a term finds few rows by an index."""
    return any(
        is_indexed(term) and not any(value.startswith("*") for leaf in leaves((term,)) for value in leaf.values)
        for term in terms
    )


def is_indexed(term: Term) -> bool:
    """Whether all that a term looks at has an index, and none of it is excluded."""
    if term.exclude:
        return False
    if isinstance(term, Condition):
        return term.name in INDEXED
    return (all if term.any else any)(is_indexed(one) for one in term.terms)


def _term(term: Term, where: Where) -> str:
    if isinstance(term, Condition):
        clause = _clause(term, where)
    else:
        clause = "(" + (" OR " if term.any else " AND ").join(_term(one, where) for one in term.terms) + ")"
    return f"NOT ({clause})" if term.exclude else clause


def recipients_clause(condition: Term, where: Where) -> str | None:
    """The condition on the narrow table `recipients`, whose key is the lower-cased address; None when it names neither whole
    addresses nor their beginnings."""
    if isinstance(condition, Junction) or condition.name != "to" or condition.exclude:
        return None
    if not all(_begins(value) for value in condition.values):
        return None
    clauses = [f"recipient LIKE {where.bind(_like(value), 'String')}" for value in condition.values if "*" in value]
    exact = [value for value in condition.values if "*" not in value]
    if exact:
        clauses.append(f"recipient IN {where.bind(exact, 'Array(String)')}")
    return "(" + " OR ".join(clauses) + ")"


def _begins(value: str) -> bool:
    return not value.startswith("*") and ("*" in value or "@" in value)


def _clause(condition: Condition, where: Where) -> str:
    name = condition.name
    if name == "domain":
        domains = where.bind(list(condition.values), "Array(String)")
        return f"(sender_domain IN {domains} OR recipient_domain IN {domains})"
    if name == "address":
        return f"({_addresses('sender', condition, where)} OR {_addresses('recipient', condition, where)})"
    if name in ("from", "to"):
        return _addresses(COLUMNS[name], condition, where)
    column = COLUMNS[name]
    if name in WITHIN:
        likes = [
            _within(column, where.bind(_like(value.lower(), within=True), "String"), condition.hidden)
            for value in condition.values
        ]
        return "(" + " OR ".join(likes) + ")"
    if name in NUMBERS:
        found = [_NUMBER_AT.fullmatch(value) for value in condition.values]
        return "(" + " OR ".join(f"{column} {one[1]} {where.bind(int(one[2]), 'UInt64')}" for one in found if one) + ")"
    if name == "mail_id":
        return f"{column} IN {where.bind(list(condition.values), 'Array(UUID)')}"
    if any("*" in value for value in condition.values):
        return "(" + " OR ".join(f"{column} LIKE {where.bind(_like(v), 'String')}" for v in condition.values) + ")"
    values = [*condition.values]
    if name == "reference":  # it-42 is IT-42
        values = list(dict.fromkeys(one for value in values for one in (value, value.upper(), value.lower())))
    return f"{column} IN {where.bind(values, 'Array(String)')}"


def _within(column: str, pattern: str, hidden: bool) -> str:
    found = f"lower({column}) LIKE {pattern}"  # what an index answers
    return f"({found} AND replaceRegexpAll(lower({column}), '{_LOCAL_PARTS}', '@') LIKE {pattern})" if hidden else found


def _addresses(column: str, condition: Condition, where: Where) -> str:
    exact = [value for value in condition.values if "*" not in value and "@" in value]
    clauses = []
    if exact:
        clauses.append(f"lower({column}) IN {where.bind(exact, 'Array(String)')}")
    for value in condition.values:
        if value in exact:
            continue
        if "*" not in value:  # a bare word or domain: part of the address
            clauses.append(f"lower({column}) LIKE {where.bind(_like(value, within=True), 'String')}")
        elif value.startswith("*@") and "*" not in value[2:]:
            clauses.append(f"{column}_domain = {where.bind(value[2:], 'String')}")
        else:
            clauses.append(f"lower({column}) LIKE {where.bind(_like(value), 'String')}")
    return "(" + " OR ".join(clauses) + ")"


def _like(pattern: str, *, within: bool = False) -> str:
    """A pattern with `*` as LIKE has it; the characters that LIKE knows are escaped."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    return f"%{escaped}%" if within and "*" not in pattern else escaped
