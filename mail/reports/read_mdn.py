"""A message disposition notification (RFC 8098): the mail was shown, deleted, or handled by a program. Bounded, never raises."""

from mail.reports.read_fields import read_address, split_groups
from mail.reports.report import MAX_VALUE, Action, Finding, Report, ReportKind, ReturnedMail
from mail.reports.show_text import part_text
from mail.split_parts import Part


def read_mdn(parts: list[Part]) -> Report | None:
    """The notification, or None where there is none."""
    types = ("message/disposition-notification", "message/global-disposition-notification")
    part = next((part for part in parts if part.type in types), None)
    if part is None:
        return None
    groups, whole = split_groups(part_text(part))
    fields = dict(reversed([field for group in groups for field in group]))
    recipient = read_address(fields.get("final-recipient", ""))
    return Report(
        ReportKind.MDN,
        (Finding(recipient, read_address(fields.get("original-recipient", "")), Action.DELIVERED),)
        if recipient
        else (),
        returned=ReturnedMail(message_id=fields.get("original-message-id", "").strip("<> ")[:MAX_VALUE]),
        reporter=fields.get("reporting-ua", "")[:MAX_VALUE],
        disposition=fields.get("disposition", "").rpartition(";")[2].strip().lower()[:MAX_VALUE],
        complete=whole,
    )
