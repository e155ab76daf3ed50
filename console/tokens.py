"""API tokens: `mail.tokens` holds their hashes, scopes and domains; a token itself is shown once and kept nowhere.

Every replica follows that topic: a token that was created or revoked is so everywhere within a moment, and when Kafka is away, what is
known goes on working.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts import clock, topics
from contracts.codec import HEADERS, decode, encode_token
from contracts.errors import Unavailable
from contracts.records import Record
from contracts.shared_state import Token
from runtime.connect_kafka import Properties
from runtime.follow_table import FollowedTable

SCOPES = ("read", "raw", "send", "manage")
SOURCE = "mailscope/console"


class TokenTable(Protocol):
    """What is known of all tokens, by their ids."""

    @property
    def version(self) -> int: ...

    @property
    def why_not_ready(self) -> str: ...

    def snapshot(self) -> Mapping[str, Token]: ...


@dataclass(frozen=True)
class Principal:
    """Who asks. `domains` limits what is seen and sent; empty means all."""

    name: str
    scopes: frozenset[str]
    domains: frozenset[str]


class Tokens:
    """The tokens of a table, found by themselves."""

    def __init__(self, table: TokenTable) -> None:
        self._table = table
        self._version = -1
        self._by_hash: dict[str, Principal] = {}

    @property
    def why_not_ready(self) -> str:
        """Empty once all tokens are known."""
        return self._table.why_not_ready

    def find(self, token: str) -> Principal | None:
        """Whose token this is; None when nobody's, or revoked. Unavailable while it cannot be known."""
        if self._table.why_not_ready:
            raise Unavailable("Kafka", self._table.why_not_ready)
        version = self._table.version
        if version != self._version:
            self._by_hash = {
                one.sha256: Principal(one.name, frozenset(one.scopes), frozenset(one.domains))
                for one in self._table.snapshot().values()
                if one.revoked_at is None
            }
            self._version = version
        return self._by_hash.get(hash_token(token))


def open_tokens(kafka: Properties) -> FollowedTable[Token]:
    """The table of all tokens, followed from now on; close it."""
    return FollowedTable(kafka, topics.TOKENS, lambda value: decode(value, Token))


def new_token(name: str, scopes: list[str], domains: list[str]) -> tuple[str, Token]:
    """A token, to be shown once, and what is kept of it."""
    text = make_token()
    return text, describe_token(secrets.token_hex(6), name, text, scopes, domains)


def describe_token(id: str, name: str, text: str, scopes: list[str], domains: list[str]) -> Token:
    """What is kept of a token."""
    return Token(
        id=id,
        name=name,
        sha256=hash_token(text),
        scopes=scopes,
        domains=[domain.lower() for domain in domains],
        created_at=clock.now(),
    )


def make_token() -> str:
    """A token of 256 random bits."""
    return "ms_" + secrets.token_urlsafe(32)


def token_record(token: Token) -> Record:
    """The record that makes a token known to all."""
    return Record(topics.TOKENS, token.id, encode_token(token, SOURCE), HEADERS)


def hash_token(token: str) -> str:
    """What is kept instead of the token."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
