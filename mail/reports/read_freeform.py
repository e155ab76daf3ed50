"""A bounce in words for people: qmail, Exim, older Exchange, sendmail and whatever else has no fields. Linear, bounded, never raises."""

import re
from dataclasses import replace

from mail.parse_addresses import parse_addresses
from mail.parse_headers import Message
from mail.reports.read_dsn import read_status
from mail.reports.read_reply import find_code, find_enhanced_code, find_quote, read_reply
from mail.reports.report import MAX_RECIPIENTS, MAX_SAID, Action, Finding, Report, ReportKind, ReturnedMail
from mail.reports.split_by_recipient import find_recipients, split_by_recipient

_FIELDS = re.compile(r"^final-recipient: ?rfc822;", re.IGNORECASE | re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_DELAY = re.compile(
    r"\bwarning\b.{0,40}(?:not|could)|has been delayed|delivery (?:is |was )?(?:delay|postponed)|not yet been delivered|"
    r"still being (?:retried|tried)|will (?:continue to try|be retried|keep trying)|delivery (?:status notification )?\(?delay|"
    r"delivery attempts will continue|do not need to (?:resend|take any action)",
    re.IGNORECASE,
)  # fmt: skip
_ENDED = re.compile(
    r"perman|gave up|given up|giving up|fail(?:ed|ure)\b.{0,20}perm|could not be delivered|no longer be", re.IGNORECASE
)


def read_freeform(message: Message, words: str, returned: ReturnedMail) -> Report:
    """Recipients as headers, lines and forms name them, each with the words about it; all words where one is not named at all."""
    named = [one.spec for field in message.all(b"x-failed-recipients")[:20] for one in parse_addresses(field.text())]
    not_these = {
        one.spec.lower()
        for name in (b"from", b"to", b"reply-to", b"sender")
        for field in message.all(name)[:1]
        for one in parse_addresses(field.text())
    }
    listed = read_status(words, words) if _FIELDS.search(words) else None  # fields, but not in a part of their own
    if listed is not None:
        return replace(listed, kind=ReportKind.FREEFORM, returned=returned)
    recipients = find_recipients(words, named, not_these)
    about = split_by_recipient(words, recipients)
    delayed = _is_delay(words)
    alone = len(recipients) == 1
    findings = [_finding(one, about[one], words, delayed, alone) for one in recipients] or [
        _finding("", "", words, delayed, True)
    ]
    return Report(
        ReportKind.FREEFORM,
        tuple(findings[:MAX_RECIPIENTS]),
        returned=returned,
        complete=len(findings) <= MAX_RECIPIENTS,
    )


def _finding(recipient: str, near: str, words: str, delayed: bool, alone: bool) -> Finding:
    said = near
    if not _has_code(near) and (len(_WORD.findall(near.replace(recipient, " "))) < 2 or (alone and _has_code(words))):
        said = words.strip()[:MAX_SAID]
    around = words if alone else near
    reply = read_reply(find_quote(said) or said, around=around, temporary=True if delayed else None)
    return Finding(recipient, action=Action.DELAYED if delayed else Action.FAILED, reply=reply)


def _has_code(text: str) -> bool:
    return bool(find_code(text) or find_enhanced_code(text))


def _is_delay(words: str) -> bool:
    """A warning, and not the end: a server that gave up says so as well."""
    head = words[:MAX_SAID]
    return _DELAY.search(head) is not None and _ENDED.search(head) is None
