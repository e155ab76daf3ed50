"""Events of mails, and their records in `mail.events`."""

from contracts import clock
from contracts.codec import HEADERS, encode_mail_event
from contracts.events import MailEvent, Summary
from contracts.ids import new_mail_id
from contracts.records import Record
from contracts.statuses import Direction, Status, is_terminal


def event(status: Status, mail_id: str = "", subject: str = "x", attempt: int = 0) -> MailEvent:
    return MailEvent(
        mail_id=mail_id or new_mail_id(),
        recipient="a@x.test",
        direction=Direction.OUTBOUND,
        status=status,
        terminal=is_terminal(status),
        occurred_at=clock.now(),
        attempt=attempt,
        mail=Summary(received_at=clock.now(), subject=subject),
    )


def record(one: MailEvent) -> Record:
    return Record("mail.events", one.mail_id, encode_mail_event(one, "test"), HEADERS, 0)
