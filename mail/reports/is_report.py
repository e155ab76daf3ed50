"""Whether a message is what a mail system, and not a person, answers to an envelope sender."""

from mail.parse_addresses import parse_addresses
from mail.parse_headers import Message
from mail.read_parameters import find_parameter, read_parameters

_REPORTS = frozenset({"delivery-status", "disposition-notification"})  # RFC 3464, RFC 8098
_DAEMONS = frozenset({"mailer-daemon", "postmaster"})


def is_report(message: Message) -> bool:
    """A DSN or an MDN (RFC 6522), an automatic answer (RFC 3834 section 5), or a bounce in free words, which only its author's name
    gives away. Anybody may write these: it proves nothing, and keeps ordinary mail out."""
    for field in message.all(b"content-type")[:1]:
        value, parameters = read_parameters(field.text())
        if value == "multipart/report" and find_parameter(parameters, "report-type").lower() in _REPORTS:
            return True
    for field in message.all(b"auto-submitted")[:1]:
        if field.text().partition(";")[0].strip().lower() not in ("", "no"):
            return True
    authors = [address for field in message.all(b"from")[:1] for address in parse_addresses(field.text())]
    return len(authors) == 1 and authors[0].local.lower() in _DAEMONS
