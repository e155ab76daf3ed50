"""What people do to the suppression list, over the API and by the pages: put addresses on it, take them off, take in a file."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from starlette.requests import HTTPConnection

from console.audit import Audit
from console.read_suppressions import ReadLine, read_suppressions
from console.tokens import Principal
from contracts import clock
from contracts.audit import AuditAction
from contracts.changes import moment_after
from contracts.suppressions import Suppression, SuppressionChange
from runtime.publish import Publisher
from runtime.shared_list import Suppressions

SOURCE = "mailscope/console"
NAMED = 20  # addresses of many that the audit log names
AT_A_TIME = 500  # changes that are written side by side
Item = TypeVar("Item")


@dataclass(frozen=True)
class SuppressionDesk:
    """Each method raises Unavailable when Kafka does not take a change."""

    suppressions: Suppressions
    publisher: Publisher

    async def add(self, address: str, change: SuppressionChange) -> Suppression:
        """Put an address on the list; what holds after it."""
        return await self.suppressions.change(self.publisher, address, change, SOURCE)

    async def blocks(self, address: str) -> bool:
        """Whether nothing is sent to it now."""
        await self.suppressions.ready()
        entry = self.suppressions.get(address)
        return entry is not None and entry.holds(clock.now())

    async def remove(self, address: str, by: str, note: str) -> Suppression | None:
        """The entry without effect; None when it was not on the list."""
        await self.suppressions.ready()
        known = self.suppressions.get(address)
        if known is None or not known.active:
            return None
        at = moment_after(known.changes, clock.now())
        return await self.add(
            address, SuppressionChange(action="removed", at=at, by=by, note=note, reason=known.reason)
        )

    async def remove_many(self, addresses: Sequence[str], by: str, note: str) -> dict[str, Any]:
        """Counts, and one result an address."""

        async def one(address: str) -> dict[str, Any]:
            entry = await self.remove(address, by, note)
            return {"address": address, "result": "not_listed" if entry is None else "removed"}

        return sum_up(await _in_turn(list(dict.fromkeys(addresses)), one))

    async def take_in(self, octets: bytes, by: str) -> dict[str, Any]:
        """The addresses of a CSV file: counts, and one result a line. Problem 422 when it is no such file."""
        now = clock.now()
        lines = await asyncio.to_thread(read_suppressions, octets, now, by)
        await self.suppressions.ready()
        return sum_up(await _in_turn(lines, lambda line: self._take_line(line, now)))

    async def _take_line(self, line: ReadLine, now: datetime) -> dict[str, Any]:
        if line.change is None:
            return {"line": line.number, "address": line.address, "result": "error", "message": line.message}
        known = self.suppressions.get(line.address)
        if known is not None and known.holds(now) and known.reason is line.change.reason:
            return {"line": line.number, "address": line.address, "result": "known"}
        # What was said of it before holds until now.
        since = line.change.at if known is None else moment_after(known.changes, now)
        await self.add(line.address, msgspec.structs.replace(line.change, at=since))
        return {"line": line.number, "address": line.address, "result": "added"}


async def note_unblocked(
    audit: Audit, request: HTTPConnection, principal: Principal, addresses: Sequence[str], why: str
) -> None:
    """Write down that these are about to be taken off the list. Unavailable when Kafka does not take it."""
    one = addresses[0] if len(addresses) == 1 else ""
    many = (
        ""
        if one
        else f"{len(addresses)} addresses: {', '.join(addresses[:NAMED])}{' ...' if len(addresses) > NAMED else ''}"
    )
    detail = "; ".join(part for part in (many, why) if part)
    await audit.note(request, principal, AuditAction.UNBLOCKED, recipient=one, detail=detail)


def describe(entry: Suppression, now: datetime) -> dict[str, Any]:
    """An entry as the API shows it; `active`: nothing is sent to it."""
    shown = msgspec.to_builtins(msgspec.structs.replace(entry, active=entry.holds(now)))
    shown.pop("changes")
    return dict(shown)


def sum_up(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The results, and how many there are of each."""
    counts: dict[str, int] = {}
    for one in results:
        counts[one["result"]] = counts.get(one["result"], 0) + 1
    return {"counts": counts, "results": results}


async def _in_turn(items: Sequence[Item], one: Callable[[Item], Awaitable[dict[str, Any]]]) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    for start in range(0, len(items), AT_A_TIME):
        done += await asyncio.gather(*(one(item) for item in items[start : start + AT_A_TIME]))
    return done
