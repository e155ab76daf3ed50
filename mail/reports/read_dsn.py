"""A delivery status notification (RFC 3464, RFC 6522; with UTF-8 addresses: RFC 6533). Linear, bounded, never raises."""

import re

from mail.reports.read_fields import read_address, read_date, read_typed, split_groups
from mail.reports.read_reply import read_reply
from mail.reports.report import MAX_RECIPIENTS, MAX_SAID, MAX_VALUE, Action, Finding, Report, ReportKind
from mail.reports.show_text import part_text
from mail.reports.split_by_recipient import split_by_recipient
from mail.split_parts import Part

STATUS_TYPES = frozenset({"message/delivery-status", "message/global-delivery-status"})

_RECIPIENT_FIELDS = frozenset({"final-recipient", "original-recipient"})
_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
_WORD = re.compile(r"[^\W\d_]{3,}")
_ACTIONS = {"fail": Action.FAILED, "error": Action.FAILED, "expired": Action.FAILED, "delay": Action.DELAYED}
_ACTIONS |= {"deliver": Action.DELIVERED, "relay": Action.RELAYED, "expand": Action.EXPANDED}

Fields = dict[str, str]


def read_dsn(parts: list[Part], words: str) -> Report | None:
    """The report in the first part of that type that names a recipient; None where there is none. `words` is its text for people:
    it often quotes the command and the server, which the fields do not have."""
    for part in parts:
        if part.type in STATUS_TYPES:
            report = read_status(part_text(part), words)
            if report is not None:
                return report
    return None


def read_status(text: str, words: str) -> Report | None:
    """The fields in `text`; None where they name no recipient."""
    groups, whole = split_groups(text)
    message, recipients = _by_recipient(groups)
    if not recipients:
        return None
    kept = recipients[:MAX_RECIPIENTS]
    about = split_by_recipient(words, [read_address(_recipient(one)) for one in kept])
    return Report(
        ReportKind.DSN,
        tuple(_finding(one, about, words) for one in kept),
        reporter=read_typed(message.get("reporting-mta", ""))[1].partition(" ")[0][:MAX_VALUE],
        envelope_id=message.get("original-envelope-id", "")[:MAX_VALUE],
        complete=whole and len(recipients) <= MAX_RECIPIENTS,
    )


def _by_recipient(groups: list[list[tuple[str, str]]]) -> tuple[Fields, list[Fields]]:
    """Fields of the message, and of each recipient. Some servers put an empty line between the fields of one recipient, others none
    between two: so a recipient begins where one is named that the open group does not have yet."""
    message: Fields = {}
    recipients: list[Fields] = []
    for group in groups:
        begun = False  # whether this group has begun a recipient
        for name, value in group:
            if name in _RECIPIENT_FIELDS and (not begun or name in recipients[-1]):
                recipients.append({})
                begun = True
            (recipients[-1] if recipients else message).setdefault(name, value)
            if name in ("reporting-mta", "original-envelope-id"):
                message.setdefault(name, value)
    return message, recipients


def _recipient(fields: Fields) -> str:
    return fields.get("final-recipient") or fields.get("original-recipient", "")


def _finding(fields: Fields, about: dict[str, str], words: str) -> Finding:
    recipient = read_address(_recipient(fields))
    original = read_address(fields.get("original-recipient", ""))
    status = _STATUS.search(fields.get("status", ""))
    action = _action(fields.get("action", ""), status[0] if status else "")
    said = read_typed(fields.get("diagnostic-code", ""))[1]
    near = about.get(recipient, "") or (words[:MAX_SAID] if len(about) == 1 else "")
    if len(_WORD.findall(said)) < 3:  # a bare code: people are told more
        said = f"{said}\n{near}".strip()
    return Finding(
        recipient,
        original if original.lower() != recipient.lower() else "",
        action,
        status[0] if status else "",
        read_reply(
            said,
            status=status[0] if status else "",
            host=_host(fields.get("remote-mta", "")),
            around=near,
            temporary=True if action is Action.DELAYED else None,
        ),
        read_date(fields["will-retry-until"]) if "will-retry-until" in fields else None,
    )


def _action(written: str, status: str) -> Action:
    lower = written.strip().lower()
    for start, action in _ACTIONS.items():
        if lower.startswith(start):
            return action
    return Action.DELIVERED if status.startswith("2") else Action.FAILED


def _host(remote: str) -> str:
    return read_typed(remote)[1].partition(" ")[0].strip("[]")[:255]
