"""What each status means, for people who see it for the first time."""

from contracts.statuses import Direction, Status

MEANINGS: dict[str, str] = {
    Status.RECEIVED: "We hold it, and are deciding what becomes of it.",
    Status.FORWARDED: "Inbound: passed on, and every server that it was passed on to took it.",
    Status.PROCESSED: "Inbound: the application behind its address took it.",
    Status.SKIPPED: "Inbound: the application behind its address, or a rule of its channel, chose not to act on it.",
    Status.DROPPED: "Inbound: taken and not passed on, on purpose: a rule, a loop, or an automatic answer.",
    Status.REJECTED: "Inbound: refused, so that its sender was told. Outbound: not sent, because the address is on the suppression list.",
    Status.SENT: "Outbound: accepted and queued; the first delivery attempt comes next.",
    Status.DEFERRED: "It did not work yet, and is being tried again.",
    Status.DELIVERED: "Outbound: the recipient's mail server took responsibility for it. Whether it reached the inbox is not known.",
    Status.DELIVERY_FAILED: "The recipient's mail server refused it for good, or the time to deliver it ran out.",
    Status.FAILED: "The trouble is on our side: it never left, or could not be processed.",
    Status.COMPLAINED: "Outbound: the recipient called it spam.",
    Status.UNSUBSCRIBED: "Outbound: the recipient wants no more of its kind.",
}


_REJECTED = {
    Direction.INBOUND: "Refused, so that its sender was told.",
    Direction.OUTBOUND: "Not sent, because the address is on the suppression list.",
}


def meaning(status: str, direction: str = "") -> str:
    """The meaning of a status, of mail of this direction where it is given; "" for an unknown word."""
    if not direction:
        return MEANINGS.get(status, "")
    if status == Status.REJECTED:
        return _REJECTED.get(Direction(direction), "")
    text = MEANINGS.get(status, "").removeprefix("Inbound: ").removeprefix("Outbound: ")
    return text[:1].upper() + text[1:]
