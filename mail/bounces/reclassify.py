"""What the rules of today say of an answer that was kept: pure."""

from msgspec.structs import replace

from contracts.events import Bounce, MailEvent, Outcome
from contracts.statuses import Reason, Status
from mail.bounces.classify import classify_reply, reason_of
from mail.bounces.reply import Reply

_WITHOUT_REPLY = ("ours.", "report.")  # rules that look at what we did, or at what kind of message came back


def reclassify(event: MailEvent) -> MailEvent | None:
    """The event as it would have been written with the rules of today; None where it says the same. Its time, status and id stay."""
    old = event.bounce
    if old is None or old.rule.startswith(_WITHOUT_REPLY) or event.reason is Reason.UNROUTABLE:
        return None
    new = classify_reply(
        Reply(old.text, old.code, old.enhanced_code, old.command, old.host, temporary=_was_temporary(event, old))
    )
    if (new.bounce_type, new.bounce_class) == (old.bounce_type, old.bounce_class):
        return None
    reason = reason_of(new) if event.reason is reason_of(old) else event.reason
    return replace(event, bounce=new, reason=reason)


def _was_temporary(event: MailEvent, bounce: Bounce) -> bool:
    """Whether the answer was given as one that may change: as the attempt says, else as the report did."""
    for attempt in reversed(event.attempts):
        if (attempt.code, attempt.text[: len(bounce.text)]) == (bounce.code, bounce.text):
            return attempt.outcome is Outcome.TEMPORARY
    return event.status is Status.DEFERRED or bounce.code // 100 == 4 or bounce.enhanced_code.startswith("4.")
