"""How many mails the suppression list has stopped for an address since it is on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.answer_errors import Problem
from console.query_store import StoreQueries
from contracts import clock
from contracts.errors import Unavailable
from contracts.statuses import Reason
from contracts.suppressions import Suppression

SECONDS = 2.0  # that the look may take


@dataclass(frozen=True)
class StoppedMails:
    """Counts them in the log, which goes back for `retention`."""

    queries: StoreQueries
    retention: timedelta

    async def count(self, entries: Sequence[Suppression]) -> dict[str, int | None]:
        """By address; None where counting takes too long, or the store is away."""
        if not entries:
            return {}
        sql, parameters = _query(entries, clock.now() - self.retention)
        try:
            rows = await self.queries.rows(sql, parameters, seconds=SECONDS)
        except (Problem, Unavailable):
            return {entry.address: None for entry in entries}
        return {entry.address: 0 for entry in entries} | {row["address"]: row["mails"] for row in rows}


def _query(entries: Sequence[Suppression], oldest: datetime) -> tuple[str, dict[str, Any]]:
    # The narrow table of recipients says which mails to look at. A mail that was stopped has that one status, so that no fold is needed.
    since = [clock.to_ms(max(entry.since, oldest)) for entry in entries]
    of_address = "indexOf({addresses:Array(String)}, lower(recipient))"
    sql = f"""
        SELECT lower(recipient) AS address, uniqExact(mail_id) AS mails FROM mails
        WHERE received_at >= fromUnixTimestamp64Milli({{first:Int64}}, 'UTC') AND reason = {{reason:String}}
          AND (received_at, mail_id) IN (
            SELECT received_at, mail_id FROM recipients
            WHERE recipient IN {{addresses:Array(String)}} AND received_at >= fromUnixTimestamp64Milli({{first:Int64}}, 'UTC'))
          AND {of_address} > 0
          AND received_at >= fromUnixTimestamp64Milli({{since:Array(Int64)}}[{of_address}], 'UTC')
        GROUP BY address"""
    parameters = {
        "addresses": [entry.address for entry in entries],
        "since": since,
        "first": min(since),
        "reason": Reason.SUPPRESSED.value,
    }
    return sql, parameters
