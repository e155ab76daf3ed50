"""The channels and their health: from mailscope.yaml, and from what their pollers told."""

from datetime import datetime
from typing import Any

from console.answer_errors import Problem
from console.query_store import StoreQueries
from contracts import clock
from contracts.events import WORKING, ChannelState
from contracts.settings import Channel, Settings
from mail.addresses import split_address

COLUMNS = "channel, state, occurred_at, ended_at, detail, delayed"
ORDER = "ORDER BY occurred_at DESC, isNull(ended_at) DESC, state"
HOSTED = "hosted"  # the state of a channel whose mail comes to us by SMTP: nothing is connected to


class ChannelReader:
    """Reads for one principal at a time; `domains` limits whose channels are seen."""

    def __init__(self, queries: StoreQueries, settings: Settings) -> None:
        self._queries = queries
        self._channels = settings.channels
        self._retention = settings.store.retention

    async def all(self, domains: frozenset[str]) -> list[dict[str, Any]]:
        """Every channel with its state now, in the order of mailscope.yaml."""
        sql = f"SELECT {COLUMNS} FROM connectivity FINAL WHERE occurred_at >= {{since:DateTime64(3, 'UTC')}} {ORDER} LIMIT 1 BY channel"
        rows = {row["channel"]: row for row in await self._queries.rows(sql, {"since": self._begin()})}
        return [
            _describe(name, channel, rows.get(name))
            for name, channel in self._channels.items()
            if _seen(channel, domains)
        ]

    async def connectivity(self, name: str, domains: frozenset[str], limit: int) -> list[dict[str, Any]]:
        """What happened to one channel, newest first. Problem 404 when there is none of this name, or not for these domains."""
        self.find(name, domains)
        sql = (
            f"SELECT {COLUMNS} FROM connectivity FINAL WHERE channel = {{channel:String}} "
            f"AND occurred_at >= {{since:DateTime64(3, 'UTC')}} {ORDER} LIMIT {{limit:UInt32}}"
        )
        found = await self._queries.rows(sql, {"channel": name, "since": self._begin(), "limit": limit})
        return [_row(row) for row in found]

    async def delayed_mails(self, name: str, began: datetime, domains: frozenset[str]) -> tuple[str, ...]:
        """The ids of the mails that came late by the gap that began then, as many as its poller named. Problem 404 when there is no such
        gap."""
        self.find(name, domains)
        sql = (
            "SELECT delayed_mails FROM connectivity FINAL WHERE channel = {channel:String} "
            "AND occurred_at = fromUnixTimestamp64Milli({began:Int64}, 'UTC') AND state NOT IN {working:Array(String)}"
        )
        working = [state.value for state in WORKING]
        found = await self._queries.rows(sql, {"channel": name, "began": clock.to_ms(began), "working": working})
        if not found:
            raise Problem(404, f"no gap of channel '{name[:100]}' began at {clock.rfc3339(began)}")
        return tuple(dict.fromkeys(str(one) for row in found for one in row["delayed_mails"]))

    def find(self, name: str, domains: frozenset[str]) -> Channel:
        """The channel of this name. Problem 404 when there is none, or not for these domains."""
        channel = self._channels.get(name)
        if channel is None or not _seen(channel, domains):
            raise Problem(404, f"there is no channel '{name[:100]}'")
        return channel

    def _begin(self) -> datetime:
        return clock.now() - self._retention


def _seen(channel: Channel, domains: frozenset[str]) -> bool:
    address = channel.recipient or channel.address or ""
    return not domains or split_address(address)[1] in domains


def _describe(name: str, channel: Channel, row: dict[str, Any] | None) -> dict[str, Any]:
    shown = {
        "name": name,
        "kind": "hosted" if channel.imap is None else "mailbox",
        "address": channel.recipient or channel.address,
        "handler": channel.handle,
        "state": HOSTED if channel.imap is None else None,
        "since": None,
        "detail": None,
    }
    if channel.imap is None or row is None:
        return shown
    told = _row(row)
    if told["ended_at"] is not None and row["state"] not in WORKING:  # the row that says so is on its way
        return {**shown, "state": ChannelState.RECOVERED.value, "since": told["ended_at"]}
    return {**shown, "state": told["state"], "since": told["occurred_at"], "detail": told["detail"]}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    ended = row["ended_at"]
    return {
        "state": row["state"],
        "occurred_at": clock.rfc3339(clock.utc(row["occurred_at"])),
        "ended_at": clock.rfc3339(clock.utc(ended)) if ended is not None else None,
        "detail": row["detail"] or None,
        "delayed": row["delayed"],
    }
