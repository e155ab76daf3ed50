"""A mail is redelivered: what is decided about it now belongs to a new round. Pure."""

from datetime import timedelta

import msgspec

from contracts.events import Dispatch, MailEvent
from contracts.raw_message import Envelope
from contracts.statuses import Status
from processors.decision import Consequences


def round_of(envelope: Envelope, recipient: str) -> int:
    """How often this mail has been redelivered to a recipient, with this time."""
    again = envelope.again.get(recipient)
    return again.number if again is not None else 0


def in_round(found: Consequences, envelope: Envelope, expire: timedelta) -> Consequences:
    """The same consequences as those of a redelivery: it begins when it was asked for, and has all of `expire` again. Nobody outside has
    asked for it, so its failure is told to nobody outside."""

    def event(one: MailEvent) -> MailEvent:
        again = envelope.again.get(one.recipient)
        if again is None:
            return one
        if one.status not in (Status.RECEIVED, Status.SENT):
            return msgspec.structs.replace(one, round=again.number)
        detail = f"redelivered by {again.by}" + (
            f": {one.detail}" if one.status is Status.RECEIVED and one.detail else ""
        )
        return msgspec.structs.replace(one, round=again.number, occurred_at=again.at, detail=detail[:2000])

    def command(one: Dispatch) -> Dispatch:
        again = envelope.again.get(one.recipient)
        if again is None:
            return one
        return msgspec.structs.replace(
            one,
            again=again,
            attempt=again.attempts + 1,
            expires_at=again.at + expire,
            targets=[target for target in one.targets if target.address not in again.done] or one.targets,
            notify=False,
            notices=None,
        )

    return Consequences(
        [event(one) for one in found.events],
        [command(one) for one in found.commands],
        found.reply,
        found.refused,
        found.news,
    )
