"""What the mail servers of the demo refuse: it depends on the local part, in the words of real servers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Habit:
    """What a server says to an address whose local part starts with `prefix`; refused `times` times, it is taken."""

    prefix: str
    reply: str
    times: int | None = None  # None: always
    at: str = "rcpt"  # or "data"


HABITS = (
    Habit("gone", "550 5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table"),
    Habit("full", "552 5.2.2 <{address}>: Mailbox is full, quota exceeded"),
    Habit("greylist", "451 4.7.1 <{address}>: Greylisting in action, please come back later", times=2),
    Habit("slow", "421 4.7.0 {host} Too many connections from your network, try again later", times=1),
    Habit("busy", "421 4.3.2 {host} Service shutting down for maintenance, closing channel"),
    Habit(
        "blocked",
        "550 5.7.1 Service unavailable, client host [{peer}] blocked: poor sending reputation, see https://{host}/lookup",
        at="data",
    ),
    Habit("picky", "554 5.6.0 Message content rejected: attachment type not allowed", at="data"),
)


def find_habit(habits: Sequence[Habit], local_part: str, at: str, seen: int) -> Habit | None:
    """The habit that refuses this address at this step, when it was refused `seen` times before; None: it is taken."""
    for habit in habits:
        if local_part.lower().startswith(habit.prefix) and habit.at == at:
            return habit if habit.times is None or seen < habit.times else None
    return None


class Habits:
    """What one domain's server refuses: foreign domains, and its own addresses by habit."""

    def __init__(self, domain: str, host: str) -> None:
        self._domain = domain
        self._host = host
        self._refusals: Counter[tuple[str, str, str]] = Counter()

    def refuse(self, at: str, address: str, peer: str) -> str | None:
        """The refusal of this address at this step; None: it is taken."""
        local_part, _, domain = address.rpartition("@")
        if domain.lower() != self._domain:
            return f"554 5.7.1 <{address}>: Relay access denied"
        # A real greylist also looks at the sender; ours are told apart by recipient alone, VERP or not.
        known = (peer, address.lower(), at)
        habit = find_habit(HABITS, local_part, at, self._refusals[known])
        if habit is None:
            self._refusals[known] = 0  # the next mail is greeted anew, so that the demo never runs dry
            return None
        self._refusals[known] += 1
        return habit.reply.format(address=address, host=self._host, peer=peer)
