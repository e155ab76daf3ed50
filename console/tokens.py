"""API tokens and sessions: `mail.tokens` holds their hashes, scopes and domains; a token itself is shown once and kept nowhere.

Every replica follows that topic: a token that was created or revoked is so everywhere within a moment, and when Kafka is away, what is
known goes on working.
"""

import hashlib
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Protocol

import msgspec

from contracts import clock, topics
from contracts.codec import HEADERS, decode, decode_envelope, encode_token
from contracts.errors import InvalidEvent, Unavailable
from contracts.records import Record
from contracts.shared_state import Token
from runtime.connect_kafka import Properties
from runtime.follow_table import FollowedTable

_log = logging.getLogger("mailscope.console")
SCOPES = ("read", "raw", "send", "manage", "reveal")
SOURCE = "mailscope/console"
SESSION_LASTS = timedelta(days=14)


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

    id: str  # of the token or session; names are not unique
    name: str
    scopes: frozenset[str]
    domains: frozenset[str]
    networks: tuple[str, ...] = ()  # from where the token may be used; empty means from anywhere
    expires_at: datetime | None = None  # when the token or session ends by itself
    issuer: str = ""  # of a person: the identity provider that knows them; empty: a token
    masked: bool = False  # sees addresses of people outside masked (mask_answers.py)

    def may_come_from(self, peer: str) -> bool:
        """Whether the token may be used from this address."""
        if not self.networks:
            return True
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in ip_network(one) for one in self.networks)


class Tokens:
    """The tokens of a table, found by themselves. `issuer` is the identity provider whose people's sessions hold; "": those of none."""

    def __init__(self, table: TokenTable, issuer: str = "") -> None:
        self._table = table
        self._issuer = issuer
        self._version = -1
        self._by_hash: dict[str, tuple[Token, Principal]] = {}
        self._by_id: dict[str, tuple[Token, Principal]] = {}

    @property
    def why_not_ready(self) -> str:
        """Empty once all tokens are known."""
        return self._table.why_not_ready

    def find(self, token: str) -> Principal | None:
        """Whose API token this is; None when nobody's, or revoked. Unavailable while it cannot be known."""
        return _living(self._known()[0].get(hash_token(token)), session=False)

    def find_session(self, cookie: str) -> Principal | None:
        """Whose session this is; None when nobody's, or over. Unavailable while it cannot be known."""
        return _living(self._known()[0].get(hash_token(cookie)), session=True)

    def find_id(self, id: str) -> Principal | None:
        """The token or session with this id; None when there is none, or it has ended."""
        found = self._known()[1].get(id)
        return _living(found, session=found is not None and bool(found[0].session_of))

    def secret(self, id: str) -> bytes:
        """What all replicas know of a token or session, and nobody else, to sign with. KeyError when there is none."""
        return self._known()[1][id][0].sha256.encode()

    def _known(self) -> tuple[dict[str, tuple[Token, Principal]], dict[str, tuple[Token, Principal]]]:
        if self._table.why_not_ready:
            raise Unavailable("Kafka", self._table.why_not_ready)
        version = self._table.version
        if version != self._version:
            all_of_them = self._table.snapshot()
            valid = [one for one in all_of_them.values() if one.revoked_at is None]
            living = [self._living_now(one, all_of_them) for one in valid]
            self._by_id = {one.id: (one, principal_of(one)) for one in living if one is not None}
            self._by_hash = {one.sha256: (one, principal) for one, principal in self._by_id.values()}
            self._version = version
        return self._by_hash, self._by_id

    def _living_now(self, one: Token, known: Mapping[str, Token]) -> Token | None:
        if one.issuer:
            return one if one.issuer == self._issuer else None
        return _with_its_token(one, known) if one.session_of else one


def principal_of(token: Token) -> Principal:
    """Who has this token or session."""
    scopes = frozenset(token.scopes) - ({"raw"} if token.masked else set())
    domains, networks = frozenset(token.domains), tuple(token.networks)
    return Principal(
        token.id, token.name, scopes, domains, networks, token.expires_at, issuer=token.issuer, masked=token.masked
    )


def _with_its_token(session: Token, known: Mapping[str, Token]) -> Token | None:
    """A session ends when its token does, whichever end comes first; None when its token is gone or revoked."""
    token = known.get(session.session_of)
    if token is None or token.revoked_at is not None:
        return None
    ends = [one.expires_at for one in (session, token) if one.expires_at is not None]
    return msgspec.structs.replace(session, expires_at=min(ends, default=None))


def _living(found: tuple[Token, Principal] | None, *, session: bool) -> Principal | None:
    """A session is no API token, and the other way round: what leaks from one place is no use in the other."""
    if found is None or bool(found[0].session_of) != session:
        return None
    token, principal = found
    return None if token.expires_at is not None and token.expires_at <= clock.now() else principal


def open_tokens(kafka: Properties) -> FollowedTable[Token]:
    """The table of all tokens, followed from now on; close it."""
    return FollowedTable(kafka, topics.TOKENS, decode_token)


def decode_token(value: bytes) -> Token:
    """The token of a record. One of a later version, with a field that this one does not know, is revoked as far as this process goes: the
    field may say what it must not do. So is one that cannot be read: what was known of it before may hold no more."""
    try:
        token = decode(value, Token)
        told = msgspec.json.decode(decode_envelope(value).data, type=dict[str, msgspec.Raw])
    except InvalidEvent as error:
        _log.error("a token is taken for revoked, since its record cannot be read: %s", error)
        never = datetime.min.replace(tzinfo=UTC)
        return Token(id="", name="", sha256="", scopes=[], domains=[], created_at=never, revoked_at=never)
    if unknown := sorted(told.keys() - set(Token.__struct_fields__)):
        _log.warning(
            "the token %s is of a later version (%s): it is taken for revoked here", token.name, ", ".join(unknown)
        )
        return msgspec.structs.replace(token, revoked_at=token.revoked_at or token.created_at)
    return token


def new_token(
    name: str,
    scopes: list[str],
    domains: list[str],
    networks: Sequence[str] = (),
    expires_at: datetime | None = None,
    *,
    masked: bool = False,
) -> tuple[str, Token]:
    """A token, to be shown once, and what is kept of it. ValueError for a network that is none, and for `raw` in a masked one."""
    if masked and "raw" in scopes:
        raise ValueError("the scope `raw` shows messages with their addresses: a masked token cannot have it")
    text = make_token()
    made = describe_token(secrets.token_hex(6), name, text, scopes, domains)
    known = [str(ip_network(one)) for one in networks]
    return text, msgspec.structs.replace(made, networks=known, expires_at=expires_at, masked=masked)


def new_session(principal: Principal, now: datetime, lasts: timedelta = SESSION_LASTS) -> tuple[str, Token]:
    """A session of a token or a person, with their scopes and domains: the text of its cookie, and what is kept of it."""
    text = make_token()
    return text, Token(
        id=secrets.token_hex(6),
        name=principal.name,
        sha256=hash_token(text),
        scopes=sorted(principal.scopes),
        domains=sorted(principal.domains),
        created_at=now,
        session_of=principal.id,
        expires_at=now + lasts,
        networks=list(principal.networks),
        issuer=principal.issuer,
        masked=principal.masked,
    )


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
