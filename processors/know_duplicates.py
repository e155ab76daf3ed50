"""Whether a channel has got a mail before: the same Message-ID from the same author, exact across workers and restarts, for a day.

Each mail that a handler would get claims its Message-ID on its channel (`runtime/claim.py`); who stands first in `mail.claims` is the mail,
and the others are duplicates of it. A mail that is decided again claims under the same mail_id, and so comes to the same.
"""

import hashlib

from contracts.events import Action, MailEvent
from contracts.settings import Settings
from contracts.statuses import Reason
from processors.decision import Consequences
from runtime.claim import Claims
from runtime.publish import Publisher
from runtime.run_stage import instance_name

MAIL = "mail "  # how these claims begin, among those of others


class KnownMail:
    """The Message-IDs of a day."""

    def __init__(self, settings: Settings, publisher: Publisher) -> None:
        self._channels = {name for name, channel in settings.channels.items() if "duplicate" in channel.skip}
        self._claims = (
            Claims(settings.kafka_client, publisher, instance_name("inbound"), MAIL) if self._channels else None
        )

    async def repeats_in(self, found: Consequences, before: list[MailEvent]) -> frozenset[str]:
        """The channels on which this mail is a duplicate, of those whose handler would get it. `before` is what was decided about it
        already: that stays. Unavailable when Kafka cannot tell."""
        if before:
            return frozenset(event.mail.channel for event in before if event.reason is Reason.DUPLICATE)
        mails = {
            command.mail.channel: command
            for command in found.commands
            if command.action is Action.HANDLE and command.mail.message_id and command.mail.channel in self._channels
        }
        repeated = set()
        for channel, command in mails.items():
            assert self._claims is not None
            words = f"{channel}\0{command.mail.message_id}\0{command.mail.from_}"
            name = f"{MAIL}{hashlib.sha256(words.encode()).hexdigest()}"
            if (await self._claims.claim(name, command.mail_id)).claimant != command.mail_id:
                repeated.add(channel)
        return frozenset(repeated)
