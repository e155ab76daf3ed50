"""The processing log of a channel: what became of its mail, and who wrote to an address of its domain that is not there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from console.answer_errors import Problem
from console.conditions import Condition, Junction, Term, make_condition
from console.limit_search import limit_search
from console.masked_asker import is_masked
from console.nearest_address import configured_addresses, nearest_address
from console.parse_filters import Filters, parse_filters
from console.read_channels import ChannelReader
from console.search_mails import Cursor, Search
from contracts import clock
from contracts.ids import received_ms
from contracts.settings import Settings
from contracts.statuses import Direction, Reason
from mail.addresses import split_address

FILTERS = ("from", "subject", "reference", "status", "since", "until")


@dataclass(frozen=True)
class ProcessingLog:
    """Reads for one principal at a time."""

    search: Search
    channels: ChannelReader
    settings: Settings

    async def page(
        self, name: str, asked: Mapping[str, str], domains: frozenset[str], limit: int, cursor: Cursor | None
    ) -> tuple[list[dict[str, Any]], Cursor | None]:
        """The items of a page, newest first, each with `nearest`: the address that an unknown recipient probably was to be.

        `asked` has some of FILTERS, and `gap`: when a gap of the connectivity log began, for the mails that came late by it. Problem 404
        when there is no such channel or gap, 422 for a filter that is wrong."""
        self.channels.find(name, domains)
        filters = parse_filters([(one, asked[one]) for one in FILTERS if asked.get(one) and one != "from"], clock.now())
        senders = tuple(_of_sender(asked.get("from", "")))
        filters = replace(filters, terms=(*filters.terms, *(limit_search(senders) if is_masked() else senders)))
        if asked.get("gap"):
            late = await self._late(name, asked["gap"], domains)
            if not late:
                return [], None
            filters = _only(filters, late)
        else:
            filters = Filters((*filters.terms, self._of_channel(name)), filters.since, filters.until)
        items, following = await self.search.page(filters, domains, limit, cursor)
        known = configured_addresses(self.settings)
        for item in items:
            unknown = item["reason"] == Reason.UNKNOWN_RECIPIENT
            item["nearest"] = (nearest_address(item["recipient"], known) or None) if unknown else None
        return items, following

    def _of_channel(self, name: str) -> Term:
        """Its own mail; and of a hosted one what was refused in its domain, since an address that is not there has no channel."""
        own = Condition("channel", (name,))
        channel = self.settings.channels[name]
        domain = split_address(channel.address or "")[1]
        if channel.imap is not None or domain not in self.settings.inbound.domains:
            return own
        refused = Junction(
            (
                Condition("direction", (Direction.INBOUND.value,)),
                Condition("reason", (Reason.UNKNOWN_RECIPIENT.value,)),
                Condition("to", (f"*@{domain}",)),
            ),
            any=False,
        )
        return Junction((own, refused), any=True)

    async def _late(self, name: str, gap: str, domains: frozenset[str]) -> tuple[str, ...]:
        """The mails that came late by a gap, as its poller named them (the first thousand)."""
        try:
            began = datetime.fromisoformat(re.sub(r" (?=\d\d:\d\d$)", "+", gap)).astimezone(UTC)
            clock.to_ms(began)
        except (ValueError, OverflowError) as error:
            raise Problem(422, f"'{gap[:100]}' is no time at which a gap began", field="gap") from error
        return await self.channels.delayed_mails(name, began, domains)


def _of_sender(text: str) -> tuple[Term, ...]:
    """By the address, or by the name, which is what the log shows."""
    exclude, text = text.startswith("!"), text.removeprefix("!")
    found = [one for name in ("from", "from_name") if (one := make_condition(name, text, False, "from")) is not None]
    return (Junction(tuple(found), any=True, exclude=exclude),) if found else ()


def _only(filters: Filters, mail_ids: tuple[str, ...]) -> Filters:
    """Of these mails alone, whose ids hold the times at which they came."""
    moments = [clock.from_ms(received_ms(one)) for one in mail_ids]
    since, until = min(moments), max(moments) + timedelta(milliseconds=1)
    return Filters(
        (*filters.terms, Condition("mail_id", mail_ids)),
        max(since, filters.since or since),
        min(until, filters.until or until),
    )
