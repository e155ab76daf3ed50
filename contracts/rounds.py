"""Rounds: what happens to a mail between two deliberate redeliveries. The first one, 0, begins when the mail comes."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

MOST_ROUNDS = 31  # redeliveries of one mail to one recipient

RoundNumber = Annotated[int, Meta(ge=0, le=MOST_ROUNDS)]


class Round(Struct, frozen=True, kw_only=True):
    """A redelivery to one recipient: somebody asked for it, and it begins where the rounds before it ended."""

    number: Annotated[int, Meta(ge=1, le=MOST_ROUNDS)]
    attempts: Annotated[int, Meta(ge=0)]  # made in the rounds before
    at: datetime  # when it was asked for, UTC
    by: str  # the name of the token that asked for it
    done: list[str] = []  # targets of a forward that have accepted it before
