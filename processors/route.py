"""Where a mail goes: the first route that matches decides (`inbound.routes` of mailscope.yaml)."""

from contracts.auth_results import AuthResults
from contracts.events import Action, Summary
from contracts.raw_message import Envelope
from contracts.settings import Match, Route, Settings
from contracts.statuses import Reason, Status
from mail.addresses import matches
from mail.parse_headers import Message
from processors.decision import Decision
from processors.summarise import decode_words

NO_ROUTE = "550 5.7.1 No route takes this mail"


def route(recipient: str, mail: Summary, message: Message, auth: AuthResults, settings: Settings) -> Decision:
    """What the first matching route says for this recipient; it is named by its number, counted from 1."""
    for number, rule in enumerate(settings.inbound.routes, 1):
        if _holds(rule.match, recipient, mail, message, auth):
            return _follow(rule, f"route {number}")
    detail = "no route takes this mail: its recipient is known, but no rule's conditions hold"
    return Decision(Status.REJECTED, detail, reason=Reason.NO_ROUTE, reply=NO_ROUTE)


def handle_polled(envelope: Envelope, settings: Settings) -> Decision | None:
    """What the channel of a polled mail says; None where it leaves that to the routes, or it did not come from a mailbox."""
    channel = settings.channels.get(envelope.channel) if envelope.polled else None
    if channel is None or channel.handle is None:
        return None
    arrival = f"channel {envelope.channel}: give to handler {channel.handle}"
    return Decision(Status.RECEIVED, arrival=arrival, action=Action.HANDLE, targets=(channel.handle,))


def _follow(rule: Route, name: str) -> Decision:
    if rule.forward is not None:
        arrival = f"{name}: forward to {', '.join(rule.forward)}"
        return Decision(Status.RECEIVED, arrival=arrival, action=Action.FORWARD, targets=tuple(rule.forward))
    if rule.handle is not None:
        arrival = f"{name}: give to handler {rule.handle}"
        return Decision(Status.RECEIVED, arrival=arrival, action=Action.HANDLE, targets=(rule.handle,))
    if rule.drop is not None:
        why = rule.drop or "dropped by a rule"
        return Decision(Status.DROPPED, why, f"{name}: drop: {why}", Reason.RULE)
    reply = rule.reject or NO_ROUTE
    return Decision(Status.REJECTED, f"{name}: reject: {reply}", reason=Reason.POLICY, reply=reply)


def _holds(match: Match, recipient: str, mail: Summary, message: Message, auth: AuthResults) -> bool:
    if match.to is not None and not matches(match.to, recipient):
        return False
    if match.from_ is not None and not matches(match.from_, mail.from_):
        return False
    if match.max_size is not None and mail.size > match.max_size:
        return False
    if match.min_size is not None and mail.size < match.min_size:
        return False
    if match.auth is not None:
        for wanted, found in (
            (match.auth.spf, auth.spf_word),
            (match.auth.dkim, auth.dkim_word),
            (match.auth.dmarc, auth.dmarc_word),
        ):
            if wanted is not None and wanted != found:
                return False
    return all(_has_header(message, name, pattern) for name, pattern in match.header.items())


def _has_header(message: Message, name: str, pattern: str) -> bool:
    wanted = name.lower().encode("ascii", "replace")
    return any(matches(pattern, decode_words(field.text())) for field in message.all(wanted))
