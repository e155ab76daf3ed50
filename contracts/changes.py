"""State of an address that several processes change: the list of its changes, and what follows from them.

A record of `mail.suppressions` or `mail.preferences` holds the changes of one address and, beside them, what they amount to. Writers add a
change to what they know; where two do so at once, both lists are united (`runtime/shared_list.py`). What holds follows from the times of
the changes and not from the order in which they arrive, so that a replay of an old one changes nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec import Struct

KEPT = 100  # changes of one address; the oldest go first


class Change(Struct, frozen=True, kw_only=True):
    """Who did what, when and why."""

    action: str
    at: datetime
    by: str  # the token's name, or the stage
    mail_id: str = ""  # the mail that is the evidence
    recipient: str = ""  # of that mail
    note: str = ""


AnyChange = TypeVar("AnyChange", bound=Change)


def unite(*lists: Iterable[AnyChange]) -> list[AnyChange]:
    """The changes of all lists, each once, oldest first, at most `KEPT`."""
    known = {(one.at, one.action, one.by, one.mail_id): one for changes in lists for one in changes}
    return [known[key] for key in sorted(known)][-KEPT:]


def moment_after(changes: Sequence[AnyChange], now: datetime) -> datetime:
    """When a person's change happens: now, and after all that is known, also where the clock that said so is ahead of ours."""
    return max(now, changes[-1].at + timedelta(milliseconds=1)) if changes else now


def key_of(address: str) -> str:
    """How an address is looked up: without its case, which no large provider tells apart."""
    return address.strip().strip("<>").lower()
