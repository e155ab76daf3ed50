"""A complaint by a feedback loop (RFC 5965), or in the older forms of two providers. Linear, bounded, never raises."""

from dataclasses import replace

from mail.parse_headers import Message
from mail.reports.read_fields import read_address, split_groups
from mail.reports.recognise import author_of
from mail.reports.report import MAX_RECIPIENTS, MAX_VALUE, Finding, Report, ReportKind, ReturnedMail
from mail.reports.show_text import part_text
from mail.split_parts import Part


def read_arf(parts: list[Part], returned: ReturnedMail) -> Report | None:
    """The complaint, or None where there is none. Who complained: Original-Rcpt-To, which some leave out for privacy, then the
    recipients that the mail shows."""
    part = next((part for part in parts if part.type == "message/feedback-report"), None)
    if part is None:
        return None
    groups, whole = split_groups(part_text(part))
    fields = [field for group in groups for field in group]
    named = [read_address(value) for name, value in fields if name in ("original-rcpt-to", "removal-recipient")]
    recipients = list(dict.fromkeys(one for one in named if "@" in one)) or list(returned.to_addresses)
    sender = _first(fields, "original-mail-from").strip("<> ")
    return Report(
        ReportKind.ARF,
        tuple(Finding(one) for one in recipients[:MAX_RECIPIENTS]),
        returned=replace(returned, envelope_from=sender or returned.envelope_from),
        reporter=_first(fields, "reporting-mta").rpartition(";")[2].strip(),
        envelope_id=_first(fields, "original-envelope-id"),
        feedback_type=_first(fields, "feedback-type").lower(),
        source_ip=_first(fields, "source-ip").strip("[]"),
        complete=whole and len(recipients) <= MAX_RECIPIENTS,
    )


def read_provider_complaint(message: Message, returned: Message, about: ReturnedMail) -> Report | None:
    """Microsoft's feedback loop (JMRP), which only adds a header to the mail that it gives back; an unsubscribe of Apple's mail
    program, which says of itself what it is."""
    for field in returned.all(b"x-hmxmroriginalrecipient")[:1]:
        recipients = (field.text().strip("<> ")[:MAX_VALUE],)
        return Report(ReportKind.ARF, tuple(map(Finding, recipients)), returned=about, feedback_type="abuse")
    if any(field.text().lower() == "true" for field in message.all(b"x-apple-unsubscribe")):
        return Report(ReportKind.ARF, (Finding(author_of(message)),), returned=about, feedback_type="opt-out")
    return None


def _first(fields: list[tuple[str, str]], name: str) -> str:
    return next((value for one, value in fields if one == name), "").strip()[:MAX_VALUE]
