"""The authentication of a polled mail: what the server that took it wrote on top (Authentication-Results, RFC 8601), and no check of ours.

The peer that we would have to check spoke to that server and not to us. A stranger may write such a field too: one counts only where the
stranger's own header cannot have brought it, and only the topmost of them.
"""

import ipaddress
import re

from contracts.auth_results import (
    ArcResult,
    ArcWord,
    AuthReason,
    AuthResults,
    DkimResult,
    DkimWord,
    DmarcResult,
    DmarcWord,
    IprevResult,
    IprevWord,
    SpfResult,
    SpfWord,
    cut,
)
from mail.authentication.explain import explain
from mail.authentication.find_author import Author, find_author
from mail.authentication.strip_auth_results import claimed_id, tokens_of
from mail.parse_addresses import to_ascii_domain
from mail.parse_headers import Field, Message

MOST = 30  # results of one field that are read
MAX_VALUE = 16_000  # octets of it
_FROM = re.compile(r"from\s+(\S{1,255})", re.IGNORECASE)
_ADDRESS = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f.:]{3,45})\]", re.IGNORECASE)
_BY = re.compile(r"(?:^|\s)by\s+(\S{1,255})", re.IGNORECASE)
Properties = dict[str, str]


def read_trusted(message: Message, authserv_id: str, hops: int) -> AuthResults:
    """What the server of this name says of a mail. `hops` is how many Received fields stand above its own. Nothing is known, and why,
    where no server is trusted (""), or its word cannot be told from a stranger's. Never raises."""
    author = find_author(message)
    if not authserv_id:
        return _unknown(author, message, "", "channels.….trusted_authserv_id names no server whose word counts")
    field, received, why = _find(message, authserv_id, hops)
    if field is None:
        return _unknown(author, message, authserv_id, why)
    found = _parse(field.value[:MAX_VALUE].decode("utf-8", "replace"))
    helo, peer = _peer_of(received)
    said = f"as {authserv_id} wrote into the mail; it is no check of ours"
    spf = next((one for one in found if one[0] == "spf"), None)
    dmarc = next((one for one in found if one[0] == "dmarc"), None)
    arc = next((one for one in found if one[0] == "arc"), None)
    iprev = next((one for one in found if one[0] == "iprev"), None)
    results = AuthResults(
        spf=_spf(spf, peer, said),
        dkim=tuple(_dkim(one, said) for one in found if one[0] == "dkim"),
        dmarc=_dmarc(dmarc, author, said),
        arc=ArcResult(_word(ArcWord, arc), AuthReason.TRUSTED_HOP, detail=said) if arc else ArcResult(),
        iprev=IprevResult(
            _word(IprevWord, iprev), AuthReason.TRUSTED_HOP, peer_ip=peer, domain=iprev[2].get("policy.iprev", "")
        )
        if iprev
        else IprevResult(IprevWord.PERMERROR, AuthReason.TRUSTED_HOP, peer_ip=peer),
        flags=_flags(author, message),
        header_from=author.address,
        from_domain=author.domains[0] if author.domains else "",
        helo=cut(helo, 256),
        authserv_id=authserv_id,
        trusted=authserv_id,
    )
    return explain(results)


def _find(message: Message, authserv_id: str, hops: int) -> tuple[Field | None, Field | None, str]:
    """The field that counts, the Received of the server that wrote it, and why there is none."""
    wanted = to_ascii_domain(authserv_id) or authserv_id.lower()
    seen: list[Field] = []
    for field in message.fields:
        if field.name == b"received":
            seen.append(field)
        if len(seen) > hops + 1:
            break
        if field.name != b"authentication-results":
            continue
        if claimed_id(field.value[:MAX_VALUE].decode("utf-8", "replace")) != wanted:
            continue
        received = _received(message, hops)
        if not seen and not hops:  # above every Received: nobody but the server wrote there
            return field, received, ""
        by = _BY.search(received.text()[:2000]) if received is not None else None
        if by is None or by[1].strip("();").lower().rstrip(".") != authserv_id.lower():
            return (
                None,
                None,
                f"below the Received of another server than {authserv_id}, where its sender may have put it",
            )
        return field, received, ""
    return None, None, f"{authserv_id} has written no Authentication-Results on top of it"


def _received(message: Message, hops: int) -> Field | None:
    fields = message.all(b"received")
    return fields[hops] if len(fields) > hops else None


def _peer_of(received: Field | None) -> tuple[str, str]:
    """(HELO, IP address) of who brought the mail; "" for what is not said."""
    text = received.text()[:2000] if received is not None else ""
    helo, address = _FROM.match(text), _ADDRESS.search(text.partition(" by ")[0])
    try:
        peer = str(ipaddress.ip_address(address[1])) if address else ""
    except ValueError:
        peer = ""
    return (helo[1] if helo else ""), peer


def _parse(value: str) -> list[tuple[str, str, Properties]]:
    """(method, result, properties) of each result, at most MOST; comments and what is no result are left out."""
    found: list[tuple[str, str, Properties]] = []
    for words in _statements(value)[1 : MOST + 1]:
        pairs = _pairs(words)
        if pairs:
            (method, result), properties = pairs[0], dict(reversed(pairs[1:]))  # the first of a name counts
            found.append((method.partition("/")[0], result.lower(), properties))
    return found


def _statements(value: str) -> list[list[str]]:
    """The words between semicolons; "=" is a word of its own."""
    statements: list[list[str]] = [[]]
    for token, quoted in tokens_of(value):
        if quoted:
            statements[-1].append(token)
        elif token == ";":
            statements.append([])
            if len(statements) > MOST + 1:
                break
        elif not token.isspace():
            statements[-1].append(token)
    return statements


def _pairs(words: list[str]) -> list[tuple[str, str]]:
    return [
        (words[at - 1].lower(), cut(words[at + 1], 320))
        for at in range(1, min(len(words) - 1, 200))
        if words[at] == "=" and words[at - 1] != "=" and words[at + 1] != "="
    ]


def _spf(found: tuple[str, str, Properties] | None, peer: str, said: str) -> SpfResult:
    if found is None:
        return SpfResult(peer_ip=peer, reason=AuthReason.TRUSTED_HOP, detail=said)
    sender = found[2].get("smtp.mailfrom", "")
    identity = "mailfrom" if sender or "smtp.helo" not in found[2] else "helo"
    domain = (sender or found[2].get("smtp.helo", "")).rpartition("@")[2].lower()
    return SpfResult(
        _word(SpfWord, found), AuthReason.TRUSTED_HOP, domain, identity, sender=sender, peer_ip=peer, detail=said
    )


def _dkim(found: tuple[str, str, Properties], said: str) -> DkimResult:
    properties = found[2]
    domain = properties.get("header.d", "") or properties.get("header.i", "").rpartition("@")[2]
    return DkimResult(
        _word(DkimWord, found),
        AuthReason.TRUSTED_HOP,
        domain.lower(),
        properties.get("header.s", ""),
        properties.get("header.i", ""),
        properties.get("header.a", ""),
        detail=said,
    )


def _dmarc(found: tuple[str, str, Properties] | None, author: Author, said: str) -> DmarcResult:
    """A pass counts for the author that it names, and only where From names that one in one way."""
    domain = author.domains[0] if author.domains else ""
    if found is None:
        return DmarcResult(domain=domain, reason=AuthReason.TRUSTED_HOP, detail=said)
    word = _word(DmarcWord, found)
    named = found[2].get("header.from", "").rpartition("@")[2].lower()
    if word is DmarcWord.PASS and (author.doubtful or author.domains != ((to_ascii_domain(named) or named),)):
        return DmarcResult(
            DmarcWord.NONE, AuthReason.MULTIPLE_FROM, domain, detail=f"pass for {named or 'nobody'}, {said}"
        )
    return DmarcResult(word, AuthReason.TRUSTED_HOP, domain, detail=said)


def _word(words: type, found: tuple[str, str, Properties]):  # type: ignore[no-untyped-def]
    """The result as a word of its method; one that RFC 8601 does not know for it is none."""
    try:
        return words({"hardfail": "fail"}.get(found[1], found[1]))
    except ValueError:
        return words("permerror") if words is IprevWord else words("none")


def _flags(author: Author, message: Message) -> tuple[str, ...]:
    return tuple(flag.value for flag in (*message.flags, *author.flags))


def _unknown(author: Author, message: Message, authserv_id: str, why: str) -> AuthResults:
    domain = author.domains[0] if author.domains else ""
    results = AuthResults(
        spf=SpfResult(reason=AuthReason.NOT_CHECKED, detail=why),
        dmarc=DmarcResult(domain=domain, reason=AuthReason.NOT_CHECKED, detail=why),
        arc=ArcResult(reason=AuthReason.NOT_CHECKED, detail=why),
        iprev=IprevResult(reason=AuthReason.NOT_CHECKED),
        flags=_flags(author, message),
        header_from=author.address,
        from_domain=domain,
        authserv_id=authserv_id,
        trusted=authserv_id,
    )
    return explain(results)
