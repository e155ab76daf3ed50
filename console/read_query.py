"""The line of the search box: words, filters, AND, OR, NOT and parentheses; what is pasted is recognised by its shape. Pure."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from console.answer_errors import Problem
from console.conditions import NUMBERS, TIMES, Condition, Junction, Term, known_name, make_condition, unknown_filter
from contracts.setting_types import is_address

MAX_DEPTH = 10  # parentheses within parentheses
LONG, MOST = 6, 100  # words without a filter beyond which the line is looked for as it stands, and not at all
OPERATORS = frozenset({"AND", "OR", "NOT"})
_FILTER = re.compile(r"([A-Za-z][A-Za-z_-]*)(:|(?=[<>]))(.*)", re.DOTALL)
_NAMED_ADDRESS = re.compile(r"[^<>@:()]+<([^<>\s@]+@[^<>\s@]+)>")
_ADDRESS = re.compile(r"[^\s@<>]+@[^\s@<>]+")
_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}", re.IGNORECASE)
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_CODE = re.compile(r"[245]\d\d")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*-\d+")
_EDGES = ".,;:'"


@dataclass(frozen=True)
class _Word:
    text: str
    bare: int  # characters before the first quotation mark
    exclude: bool = False

    @property
    def quoted(self) -> bool:
        """Whether some of it stood in quotation marks."""
        return self.bare < len(self.text)

    @property
    def is_operator(self) -> bool:
        return not self.quoted and not self.exclude and self.text in OPERATORS


Token = _Word | str  # "(" or ")"


def read_query(text: str, add_time: Callable[[str, str], None]) -> tuple[Term, ...]:
    """The terms of a line, all of which must hold. `add_time` is told of `since` and `until`. Problem 422 says what cannot be read."""
    named = _NAMED_ADDRESS.fullmatch(text.strip())  # Anna Kowalska <anna@acme.example>
    if named is not None and "," not in text:
        return (recognise(named[1]),)
    tokens = _split(text)
    words = [token for token in tokens if isinstance(token, _Word)]
    plain = all(not (word.quoted or word.exclude or word.is_operator or _filter(word)) for word in words)
    if plain and len(words) > MOST:
        raise Problem(400, f"a search has at most {MOST} words", code="invalid_filter", field="q")
    if plain and len(words) > LONG:
        return (_line(" ".join(text.split())),)
    if words and all(word.is_operator for word in words):
        return tuple(recognise(word.text) for word in words)
    return _Parser(tokens, add_time).read()


def recognise(text: str) -> Term:
    """Where a word without a filter is looked for, by its shape."""
    if (found := _mail_id(text)) is not None:
        return Condition("mail_id", (found,))
    bare = text.strip("<>").rstrip(_EDGES) if "@" in text else text.strip(_EDGES) or text
    if bare.startswith("@") and _DOMAIN.fullmatch(bare[1:]):
        return Condition("domain", (bare[1:].lower(),))
    if _ADDRESS.fullmatch(bare):
        if "*" in bare:
            return Condition("address", (bare.lower(),))
        return _either(bare, f"address or Message-ID is {bare}", ("address", bare.lower()), ("message_id", bare))
    if _ENHANCED.fullmatch(bare):
        return Condition("enhanced_code", (bare,))
    if _CODE.fullmatch(bare):
        return _either(
            bare, f"reply code is {bare}, or subject contains “{bare}”", ("smtp_code", f"={bare}"), ("subject", bare)
        )
    if _KEY.fullmatch(bare):
        return _either(
            bare, f"reference is {bare.upper()}, or subject contains “{bare}”", ("reference", bare), ("subject", bare)
        )
    if is_address(bare):
        return _either(
            bare, f"the peer is {bare}, or the answer contains it", ("peer_ip", bare.lower()), ("smtp_text", bare)
        )
    if _DOMAIN.fullmatch(bare):
        lower = bare.lower()
        return _either(
            bare,
            f"domain is {lower}, or address, host or subject contain “{bare}”",
            ("domain", lower), ("address", lower), ("host", bare), ("subject", bare),
        )  # fmt: skip
    return _anywhere(bare)


def _anywhere(text: str) -> Term:
    more = [("source_id", text)] if re.fullmatch(r"(?=\D*\d)[A-Za-z0-9]{6,}", text) else []
    more += [("message_id", f"*{text}*")] if len(text) >= 8 and any(map(str.isdigit, text)) and "*" not in text else []
    return _either(
        text,
        f"subject, address, name, answer or host contain “{text}”",
        ("subject", text), ("address", text.lower()), ("from_name", text), ("smtp_text", text), ("host", text),
        ("reference", text), *more,
    )  # fmt: skip


def _phrase(text: str) -> Term:
    return _line(text) if len(text.split()) > LONG else _anywhere(text)


def _line(text: str) -> Term:
    return _either(text, f"subject or answer contain “{text}”", ("subject", text), ("smtp_text", text))


def _either(text: str, said: str, *found: tuple[str, str]) -> Junction:
    return Junction(tuple(Condition(name, (value,)) for name, value in found), any=True, said=said, text=text)


def _mail_id(text: str) -> str | None:
    try:
        return str(uuid.UUID(text)) if len(text) == 36 else None
    except ValueError:
        return None


def _filter(word: _Word) -> tuple[str, str] | None:
    """(name, value) where a word names a filter, or seems to; None where its colon is one of a text."""
    found = _FILTER.fullmatch(word.text)
    if found is None or found.end(2) > word.bare:
        return None
    name, colon, value = found[1], found[2], found[3]
    known = known_name(name)
    if not colon:
        return (known, value) if known in NUMBERS else None
    if known:
        return known, value
    return None if not value or value.startswith("//") else (name.lower(), value)


def _split(text: str) -> list[Token]:
    """Words and parentheses. Quotation marks hold a word together and are left out; Problem 422 where one is not closed."""
    tokens: list[Token] = []
    current, bare, inside, depth = "", -1, False, 0  # bare: -1 while no quotation mark has come

    def end() -> None:
        nonlocal current, bare
        before = current if bare < 0 else current[:bare]
        signs = len(before) - len(before.lstrip("-!"))
        if signs == len(current):  # signs alone, or nothing
            signs = 0
        if current:
            tokens.append(_Word(current[signs:], len(before) - signs, signs % 2 == 1))
        current, bare = "", -1

    for char in text:
        if char == '"':
            inside, bare = not inside, bare if bare >= 0 else len(current)
        elif inside:
            current += char
        elif char.isspace():
            end()
        elif char == "(" and not current.strip("-!"):
            if len(current) % 2:
                tokens.append(_Word("NOT", 3))
            current, depth = "", depth + 1
            tokens.append("(")
        elif char == ")" and depth:
            end()
            depth -= 1
            tokens.append(")")
        else:
            current += char
    if inside:
        raise Problem(422, "a quotation mark is not closed", field="q")
    end()
    return tokens + [")"] * depth


class _Parser:
    """AND binds closer than OR; words beside each other are under AND. An operator that has nothing to join is a word."""

    def __init__(self, tokens: list[Token], add_time: Callable[[str, str], None]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0
        self._within = 0  # an OR, a NOT or parentheses, in which a time cannot stand
        self._add_time = add_time

    def read(self) -> tuple[Term, ...]:
        found = self._any()
        if isinstance(found, Junction) and not found.any and not found.exclude and not found.said:
            return found.terms
        return (found,) if found is not None else ()

    def _peek(self) -> Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _operator(self, name: str) -> bool:
        token = self._peek()
        if isinstance(token, _Word) and token.is_operator and token.text == name:
            self._place += 1
            return True
        return False

    def _any(self) -> Term | None:
        within = self._has_or()
        self._within += within
        found = [self._all()]
        while self._operator("OR"):
            found.append(self._all())
        self._within -= within
        terms = tuple(term for term in found if term is not None)
        return terms[0] if len(terms) == 1 else Junction(terms, any=True) if terms else None

    def _has_or(self) -> bool:
        """Whether an OR stands at this depth, from here on."""
        depth = 0
        for token in self._tokens[self._place :]:
            depth += (token == "(") - (token == ")")
            if depth < 0:
                return False
            if depth == 0 and isinstance(token, _Word) and token.is_operator and token.text == "OR":
                return True
        return False

    def _all(self) -> Term | None:
        found: list[Term] = []
        while (token := self._peek()) is not None and token != ")":
            if isinstance(token, _Word) and token.is_operator and token.text == "OR":
                break
            if self._operator("AND"):
                continue
            if (term := self._one()) is not None:
                found.append(term)
        return found[0] if len(found) == 1 else Junction(tuple(found), any=False) if found else None

    def _one(self) -> Term | None:
        if self._operator("NOT"):
            if self._peek() in (None, ")"):
                return recognise("NOT")
            self._within += 1
            found = self._one()
            self._within -= 1
            return _negated(found) if found is not None else None
        token = self._peek()
        self._place += 1
        if isinstance(token, _Word):
            return self._word(token)
        if token != "(":
            return None
        self._depth += 1
        self._within += 1
        if self._depth > MAX_DEPTH:
            raise Problem(
                400, f"a search has at most {MAX_DEPTH} parentheses within each other", code="invalid_filter", field="q"
            )
        inner = self._any()
        self._depth -= 1
        self._within -= 1
        if self._peek() == ")":
            self._place += 1
        return inner

    def _word(self, word: _Word) -> Term | None:
        named = _filter(word)
        if named is None:
            term: Term = _phrase(word.text) if word.quoted and " " in word.text else recognise(word.text)
            return _negated(term) if word.exclude else term
        name, value = named
        if name in TIMES:
            if self._within or word.exclude:
                raise Problem(
                    422, f"{name} holds for the whole search: it stands in no OR, NOT or parentheses", field="q"
                )
            self._add_time(name, value)
            return None
        if not known_name(name):
            raise unknown_filter(name, "q")
        return make_condition(name, value, word.exclude, "q")


def _negated(term: Term) -> Term:
    return replace(term, exclude=not term.exclude)
