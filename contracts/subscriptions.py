"""Status webhooks: what is known of a subscriber, and what one call of it came to."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from contracts.statuses import Status

Count = Annotated[int, Meta(ge=0)]


class CallOutcome(StrEnum):
    TAKEN = "taken"  # 2xx
    REFUSED = "refused"  # any other answer: this event may be what it does not like
    AWAY = "away"  # no answer, 408, 425, 429 or 5xx: the subscriber may be what is wrong
    GONE = "gone"  # 410: it wants no more of it
    PUT_ASIDE = "put_aside"  # refused as often as is tried: the event is a dead letter now


class SubscriberHealth(StrEnum):
    ACTIVE = "active"
    FAILING = (
        "failing"  # it is away, or refuses whatever it is given: it is tried now and then, and what it misses waits
    )
    PAUSED = "paused"  # it has failed for too long, or answered 410: it is tried rarely


class SubscriberState(Struct, frozen=True, kw_only=True):
    """How a subscriber is doing, shared by the processes that call it (topic `mail.subscriptions`, key: its name)."""

    subscription: str
    since: datetime  # when it was first known: what was written before is not sent
    failing_since: datetime | None = None  # null: the last call was taken
    paused_at: datetime | None = None
    reason: str = ""  # of the failure, one sentence for people
    changed_at: datetime

    @property
    def health(self) -> SubscriberHealth:
        """In one word."""
        if self.failing_since is None:
            return SubscriberHealth.ACTIVE
        return SubscriberHealth.FAILING if self.paused_at is None else SubscriberHealth.PAUSED


class SubscriberCall(Struct, frozen=True, kw_only=True):
    """One call of a subscriber (topic `mail.calls`). It names the mail by its id only: no address stands in it."""

    subscription: str
    event_id: str  # the `webhook-id`
    mail_id: str
    status: Status  # of the change that it was called for
    started_at: datetime
    duration_ms: Count = 0
    attempt: Annotated[int, Meta(ge=1)]  # of this event, since the process that calls began with it
    outcome: CallOutcome
    code: Count = 0  # HTTP status; 0: nobody answered
    text: str = ""  # what was answered, or why nobody did; addresses are left out
    next_attempt_at: datetime | None = (
        None  # null: nothing is left to try, or it follows from how the subscriber is doing
    )
    health: SubscriberHealth = SubscriberHealth.ACTIVE  # after this call
    failing_since: datetime | None = None
