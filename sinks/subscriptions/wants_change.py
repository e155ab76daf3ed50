"""Whether a subscription is about a change of status. Pure."""

from contracts.events import StatusChange
from contracts.statuses import Direction
from contracts.subscription_settings import Subscription
from mail.addresses import split_address


def wants_change(subscription: Subscription, change: StatusChange) -> bool:
    """All of its filters fit; an empty one fits everything."""
    ours = change.recipient if change.direction is Direction.INBOUND else change.from_
    return (
        (not subscription.events or change.status in subscription.events)
        and (not subscription.directions or change.direction in subscription.directions)
        and (not subscription.domains or split_address(ours)[1] in subscription.domains)
    )
