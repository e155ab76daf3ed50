"""Mails that another server told of before, found in the log: what `ingest/attempts/` asks where its own memory of a day ends."""

from collections.abc import Sequence

from console.query_store import StoreQueries
from contracts.source_mail import SourceMail

_SQL = """
SELECT source_id, sender_domain, toString(mail_id) AS mail_id, recipient, attempts FROM mails FINAL
WHERE source = {source:String} AND source_id IN {ids:Array(String)} ORDER BY received_at LIMIT 100000
"""


class SourceMails:
    """The mails of other servers, by the ids that they have there and the domains of their senders."""

    def __init__(self, queries: StoreQueries) -> None:
        self._queries = queries

    async def find(self, source: str, ids: Sequence[str]) -> dict[tuple[str, str], SourceMail]:
        """Those of these ids that the log has. Unavailable when the store is away."""
        found: dict[tuple[str, str], SourceMail] = {}
        for row in await self._queries.rows(_SQL, {"source": source, "ids": list(ids)}):
            name = row["source_id"], row["sender_domain"]
            mail = found.get(name)
            if mail is None or mail.mail_id != row["mail_id"]:  # a name that was given twice is the newer mail's
                mail = found[name] = SourceMail(row["mail_id"])
            mail.attempts[row["recipient"]] = row["attempts"]
        return found
