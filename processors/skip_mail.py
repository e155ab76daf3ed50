"""Mail of a channel that no handler is to see: automatic answers, loops, lists, blocked senders, empty mail, repetitions. Pure."""

import re
from collections.abc import Callable

from contracts.events import Summary
from contracts.settings import Channel
from contracts.statuses import Reason
from mail.addresses import matches
from mail.parse_headers import Message
from mail.read_body import read_body
from processors.decision import ReadMail

LONGEST_EMPTY = 256 << 10  # octets; what is larger is not empty
_TAGS = re.compile(r"<[^>]*>|&nbsp;")
_BULK = frozenset({"bulk", "junk", "list"})
_ANSWERS = frozenset({b"x-autoreply", b"x-autorespond"})


def why_skipped(mail: ReadMail, summary: Summary, channel: Channel) -> tuple[Reason, str] | None:
    """The first reason of `skip` that holds for a mail of this channel, in a sentence; None when its handler gets it."""
    for word, (reason, look) in _REASONS.items():
        if word in channel.skip and (detail := look(mail, summary, channel)):
            return reason, detail
    return None


def _blocked(mail: ReadMail, summary: Summary, channel: Channel) -> str:
    for pattern in channel.blocked_senders:
        for sender in (summary.from_, summary.envelope_from):
            if sender and matches(pattern, sender):
                return f"{sender} is blocked on this channel ({pattern})"
    return ""


def _loop(mail: ReadMail, summary: Summary, channel: Channel) -> str:
    """Our own mail that came back: its author is the channel itself."""
    own = channel.recipient or channel.address
    return f"it is from {summary.from_}, the channel's own address" if own and matches(own, summary.from_) else ""


def _auto_reply(mail: ReadMail, summary: Summary, channel: Channel) -> str:
    """Automatic answers and reports (RFC 3834 sections 2 and 5, RFC 3462). What a program writes of its own accord (`auto-generated`: an
    alert, for one) is no answer."""
    message, envelope = mail.message, mail.envelope
    word = _word(message, b"auto-submitted")
    if word == "auto-replied":
        return "it is an automatic answer (Auto-Submitted: auto-replied)"
    if _word(message, b"precedence") == "auto_reply" or any(field.name in _ANSWERS for field in message.fields):
        return "it is an automatic answer, by its header"
    if _word(message, b"content-type") == "multipart/report":
        return "it is a report of a mail system"
    if not envelope.envelope_from and not envelope.polled:  # a polled mail may have lost its envelope
        return "its envelope sender is null, as that of reports and automatic answers"
    return ""


def _bulk(mail: ReadMail, summary: Summary, channel: Channel) -> str:
    """Mailing lists and mass mail (RFC 2919, RFC 2076)."""
    if mail.message.all(b"list-id"):
        return "it is from a mailing list (List-Id)"
    word = _word(mail.message, b"precedence")
    return f"it is mass mail (Precedence: {word})" if word in _BULK else ""


def _empty(mail: ReadMail, summary: Summary, channel: Channel) -> str:
    """Neither subject nor text nor attachment."""
    message = mail.message
    if summary.subject.strip() or len(message.body) > LONGEST_EMPTY:
        return ""
    head = b"".join(field.raw + b"\r\n" for field in message.fields if field.name.startswith(b"content-"))
    body = read_body(head + b"\r\n" + message.body)
    readable = body.text.strip() or _TAGS.sub("", body.html).strip() or body.attachments or not body.complete
    return "" if readable else "it has neither a subject nor a text nor an attachment"


def _duplicate(mail: ReadMail, summary: Summary, channel: Channel) -> str:
    if summary.channel not in mail.repeats_in:
        return ""
    return f"the channel has got a mail with this Message-ID from this author before: {summary.message_id}"


_Look = Callable[[ReadMail, Summary, Channel], str]
_REASONS: dict[str, tuple[Reason, _Look]] = {
    "blocked_sender": (Reason.SENDER_BLOCKED, _blocked),
    "loop": (Reason.LOOP, _loop),
    "auto_reply": (Reason.AUTO_REPLY, _auto_reply),
    "bulk": (Reason.BULK, _bulk),
    "empty": (Reason.EMPTY, _empty),
    "duplicate": (Reason.DUPLICATE, _duplicate),
}


def _word(message: Message, name: bytes) -> str:
    """The first field's value up to its parameters, in lower case."""
    fields = message.all(name)
    return re.split(r"[;(\s]", fields[0].text()[:200].strip().lower(), maxsplit=1)[0] if fields else ""
