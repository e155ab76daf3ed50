"""Whether a mail can be redelivered to a recipient, and if not, why: pure, from its row of the log."""

from typing import Any

from contracts.rounds import MOST_ROUNDS
from contracts.statuses import Reason, Status

_DONE = {
    Status.DELIVERED: "it was delivered: another one would be a second copy",
    Status.FORWARDED: "it was forwarded: another one would be a second copy",
    Status.PROCESSED: "it was processed: another one would be a second request",
}


def may_redeliver(item: dict[str, Any]) -> bool:
    """Whether its row of the log alone speaks for it."""
    return not why_not(item, 0, suppressed=False)


def why_not(item: dict[str, Any], rounds: int, suppressed: bool) -> str:
    """One sentence; "" when it can be. `item` is as the API shows it, `rounds` how often it has been redelivered before, `suppressed`
    whether its recipient is on the suppression list now."""
    if item["source"]:
        return f"{item['source']} delivers it, and not Mailscope"
    if not item["terminal"]:
        return "it is still being tried"
    if (done := _DONE.get(item["status"])) is not None:
        return done
    if item["direction"] == "inbound" and item["status"] == Status.REJECTED:
        return "its sender was told that it is refused"
    if item["reason"] == Reason.REPORT:
        return "it is a report, and was read: to read it again could suppress an address that was unblocked since"
    if not item["raw_available"]:
        return "the message is not kept any more" if item["size"] else "it was refused before its message came"
    if rounds >= MOST_ROUNDS:
        return f"it has been redelivered {rounds} times: that is the most"
    if item["direction"] == "outbound" and suppressed:
        return "the address is on the suppression list: unblock it first"
    return ""
