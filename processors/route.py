"""Where a mail goes: the first route that matches decides (`inbound.routes` of mailscope.yaml)."""

from dataclasses import dataclass

from contracts.auth_results import AuthResults
from contracts.events import Summary
from contracts.settings import Match, Route, Settings
from mail.addresses import matches
from mail.parse_headers import Message
from processors.summarise import decode_words

NO_ROUTE = "550 5.7.1 No route takes this mail"


@dataclass(frozen=True)
class Decision:
    """What shall happen to a mail for one recipient, and which rule (counted from 1) said so; 0 is no rule."""

    rule: int
    forward: tuple[str, ...] = ()
    handle: str = ""
    drop: str = ""
    reject: str = ""

    @property
    def detail(self) -> str:
        """One sentence for people."""
        if not self.rule:
            return "no route takes this mail: its recipient is known, but no rule's conditions hold"
        what = (
            f"forward to {', '.join(self.forward)}"
            if self.forward
            else f"give to handler {self.handle}"
            if self.handle
            else f"drop: {self.drop}"
            if self.drop
            else f"reject: {self.reject}"
        )
        return f"route {self.rule}: {what}"


def route(recipient: str, mail: Summary, message: Message, auth: AuthResults, settings: Settings) -> Decision:
    """The first matching route's action for this recipient."""
    for number, rule in enumerate(settings.inbound.routes, 1):
        if _holds(rule.match, recipient, mail, message, auth):
            return _decide(number, rule)
    return Decision(rule=0, reject=NO_ROUTE)


def _decide(number: int, rule: Route) -> Decision:
    return Decision(
        rule=number,
        forward=tuple(rule.forward or ()),
        handle=rule.handle or "",
        drop=rule.drop or ("dropped by a rule" if rule.drop is not None else ""),
        reject=rule.reject or "",
    )


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
