"""The one shape of a decision about a mail, and of what follows from it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from contracts.events import Action, Dispatch, LateNews, MailEvent, RawPointer, RecipientState
from contracts.raw_message import Envelope
from contracts.statuses import Reason, Status
from mail.parse_headers import Message
from mail.reports.report import Report


@dataclass(frozen=True)
class Answered:
    """Which request a mail is about."""

    key: str = ""  # of the mail that it answers, by Message-ID
    named: Mapping[str, str] = field(
        default_factory=dict
    )  # by handler: the key that its subject names and that one gave
    decided: Mapping[str, str] | None = None  # by recipient: what was decided before, which stays

    def of(self, recipient: str, handler: str) -> str:
        """The key for a recipient whose mail goes to this handler ("": to none); "" for none."""
        if self.decided is not None:
            return self.decided.get(recipient, "")
        return self.key or self.named.get(handler, "")


@dataclass(frozen=True)
class ReadMail:
    """One mail as the processors have it: its envelope, its message in parts, and where it stands."""

    envelope: Envelope
    message: Message
    raw: RawPointer
    report: Report | None = None  # what it reports, where a recipient is one that takes reports
    answers: Answered = Answered()
    repeats_in: frozenset[str] = frozenset()  # channels that have got it before

    @property
    def needs_smtputf8(self) -> bool:
        """Whether its headers need SMTPUTF8 (RFC 6531 section 3.1): they are not ASCII, and the mail came as such. Raw octets that
        somebody put into a header of an ordinary mail go on as they came. How a mail came that is redelivered nobody knows any more: it
        needs SMTPUTF8 where its header is UTF-8 (RFC 6532)."""
        odd = [field.raw for field in self.message.fields if not field.raw.isascii()]
        return self.envelope.smtputf8 and bool(odd) and (not self.envelope.again or all(_is_utf8(one) for one in odd))


def _is_utf8(octets: bytes) -> bool:
    try:
        return bool(octets.decode())
    except UnicodeDecodeError:
        return False


@dataclass(frozen=True)
class Decision:
    """What becomes of a mail for one recipient. A command follows where there is an `action`."""

    status: Status
    detail: str = ""  # one sentence for people
    arrival: str = ""  # what the `received` event before it says
    reason: Reason | None = None
    reply: str = ""  # where it is refused: what the sender hears
    action: Action | None = None
    targets: tuple[str, ...] = ()  # addresses, or the one handler's name
    envelope_from: str = ""  # of the command; "" is the null sender
    news: tuple[LateNews, ...] = ()  # about other mails


@dataclass
class Consequences:
    """What follows: events for the log, commands for the sinks, and the reply for a door that waits ("": none does)."""

    events: list[MailEvent] = field(default_factory=list)
    commands: list[Dispatch] = field(default_factory=list)
    reply: str = ""
    refused: list[RecipientState] = field(default_factory=list)  # outbound: who gets nothing
    news: list[LateNews] = field(default_factory=list)  # about other mails

    def without_commands_of(self, recipients: Collection[str]) -> "Consequences":
        """The same without the commands of these: they were given before."""
        return replace(self, commands=[one for one in self.commands if one.recipient not in recipients])
