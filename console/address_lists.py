"""What the lists of addresses share: who may see them, and pages of them."""

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request

from console.answer_errors import Problem
from console.authorise import authorised, form_authorised
from console.masked_asker import is_masked, seal, unseal
from console.tokens import Principal
from contracts.changes import key_of

Entry = TypeVar("Entry")


def whole_list(scope: str) -> Callable[[Request], Principal]:
    """The dependency that demands this scope and a token of all domains: a list of addresses is everybody's."""
    return _of_all_domains(authorised(scope))


def whole_list_of_form(scope: str) -> Callable[[Request], Principal]:
    """The same for a form of our own pages."""
    return _of_all_domains(form_authorised(scope))


def _of_all_domains(demanded: Callable[[Request], Principal]) -> Callable[[Request], Principal]:
    def check(request: Request) -> Principal:
        return refuse_limited(demanded(request))

    return check


def refuse_limited(principal: Principal) -> Principal:
    """Problem 403 for a token of some domains."""
    if principal.domains:
        raise Problem(403, "this token is limited to some domains, and the list is of all", code="forbidden_domain")
    return principal


@dataclass(frozen=True)
class Asked(Generic[Entry]):
    """A page that is asked for. `address` is whole, `user@` or `@domain`, or empty: any."""

    address: str
    shown: Callable[[Entry], bool]
    limit: int
    cursor: str | None


def page_of(entries: Mapping[str, Entry], asked: Asked[Any]) -> tuple[list[Any], str | None]:
    """The entries of one page, by address, and the cursor of the next one."""
    after, wanted = _decode(asked.cursor) if asked.cursor else "", _wanted(asked.address)
    if wanted and not wanted.startswith("@") and not wanted.endswith("@"):
        found = [wanted] if wanted in entries and asked.shown(entries[wanted]) and wanted > after else []
        return [entries[address] for address in found], None
    fits = (
        address
        for address, entry in entries.items()
        if address > after and _fits(address, wanted) and asked.shown(entry)
    )
    found = heapq.nsmallest(asked.limit + 1, fits)
    page = found[: asked.limit]
    following = seal(page[-1]) if len(found) > asked.limit else None
    return [entries[address] for address in page], following


def addresses_of(entries: Mapping[str, Entry], address: str, shown: Callable[[Entry], bool]) -> list[str]:
    """All addresses that such a list has, by address."""
    wanted = _wanted(address)
    if wanted and not wanted.startswith("@") and not wanted.endswith("@"):
        return [wanted] if wanted in entries and shown(entries[wanted]) else []
    return sorted(one for one, entry in entries.items() if _fits(one, wanted) and shown(entry))


def _wanted(address: str) -> str:
    wanted = key_of(address)
    if is_masked() and wanted.endswith("@"):  # tried letter by letter, it would tell what the mask hides
        raise Problem(422, "you see addresses masked: give a whole address, or @domain", code="masked", field="address")
    return wanted


def _fits(address: str, wanted: str) -> bool:
    return address.endswith(wanted) if wanted.startswith("@") else address.startswith(wanted)


def _decode(cursor: str) -> str:
    try:
        return unseal(cursor)
    except ValueError as error:
        raise Problem(400, "this is no cursor of this list", code="invalid_cursor", field="cursor") from error
