"""How many mails the suppression list has stopped for an address since it is on it."""

from collections.abc import Sequence
from datetime import datetime

from console.answer_errors import Problem
from console.query_store import StoreQueries
from contracts import clock
from contracts.statuses import Reason
from contracts.suppressions import Suppression

SECONDS = 2.0  # that the look may take


async def count_stopped(
    queries: StoreQueries, entries: Sequence[Suppression], oldest: datetime
) -> dict[str, int] | None:
    """By address, as far back as the log goes (`oldest`). None where counting takes too long."""
    if not entries:
        return {}
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
    try:
        rows = await queries.rows(sql, parameters, seconds=SECONDS)
    except Problem:
        return None
    return {entry.address: 0 for entry in entries} | {row["address"]: row["mails"] for row in rows}
