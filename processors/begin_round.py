"""A mail is redelivered: what is decided about it now belongs to a new round. Pure."""

from datetime import timedelta

import msgspec

from contracts.events import Action, Dispatch, MailEvent, Target
from contracts.raw_message import Envelope
from contracts.rounds import Round
from contracts.statuses import Status
from processors.decision import Consequences


def round_of(envelope: Envelope, recipient: str) -> int:
    """How often this mail has been redelivered to a recipient, with this time."""
    again = envelope.again.get(recipient)
    return again.number if again is not None else 0


def in_round(found: Consequences, envelope: Envelope, expire: timedelta) -> Consequences:
    """The same consequences as those of a redelivery: it begins when it was asked for, and has all of `expire` again. Nobody outside has
    asked for it, so its failure is told to nobody outside. A forward goes to those only who have not taken it; where all have (the route
    is another one today), it is `forwarded`."""

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
            targets=_left(one, again),
            notify=False,
            notices=None,
        )

    events, commands = [event(one) for one in found.events], [command(one) for one in found.commands]
    over = {one.recipient for one in commands if not one.targets}
    events += [_taken(one) for one in events if one.recipient in over and one.status is Status.RECEIVED]
    return Consequences(
        events,
        [one for one in commands if one.targets],
        found.reply,
        found.refused,
        found.news,
    )


def _left(command: Dispatch, again: Round) -> list[Target]:
    """Whom it goes to. A mail of ours that bounced after its delivery was accepted by its one target, and goes there again."""
    if command.action is not Action.FORWARD:
        return command.targets
    return [target for target in command.targets if target.address not in again.done]


def _taken(begun: MailEvent) -> MailEvent:
    """The end of a round in which there is nothing to do."""
    return msgspec.structs.replace(
        begun, status=Status.FORWARDED, terminal=True, detail="every address that it is forwarded to today has taken it"
    )
