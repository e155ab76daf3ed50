"""One report about a mail, whatever its form: DSN, complaint, MDN, a bounce in words, an automatic answer, a challenge.

Pure. Linear in the first `MAX_REPORT` octets, bounded in what is kept, never raises. Who wrote it is not asked: see `report.py`.
"""

from dataclasses import replace

from mail.parse_headers import Message, split_message
from mail.reports.read_arf import read_arf, read_provider_complaint
from mail.reports.read_dsn import read_dsn
from mail.reports.read_freeform import read_freeform
from mail.reports.read_mdn import read_mdn
from mail.reports.read_reply import read_reply
from mail.reports.read_returned import find_bounce_addresses, read_returned, split_returned
from mail.reports.read_ses import read_ses
from mail.reports.recognise import author_of, recognise
from mail.reports.report import MAX_REPORT, MAX_SAID, Finding, Report, ReportKind
from mail.reports.show_text import cut_returned, returned_octets, show_text
from mail.split_parts import Part, split_parts

MAX_DEPTH = 2  # reports within a report


def read_report(raw: bytes, depth: int = 0) -> Report:
    """What the message `raw` reports; `ReportKind.NONE` where it is no report."""
    cut = raw[:MAX_REPORT]
    message = split_message(cut)
    parts, whole = split_parts(cut)
    words, inline = cut_returned(show_text(parts))
    octets = returned_octets(parts) or inline.encode("utf-8", "replace").replace(b"\n", b"\r\n")
    report = _read(message, parts, words, octets)
    if report.kind is ReportKind.FREEFORM and not any(one.recipient for one in report.findings):
        report = _look_behind(report, octets, depth)
    bounce_addresses = tuple(dict.fromkeys((*report.returned.bounce_addresses, *find_bounce_addresses(cut))))
    return replace(
        report,
        returned=replace(report.returned, bounce_addresses=bounce_addresses[:100]),
        text=words.strip()[:MAX_SAID],
        complete=report.complete and whole and len(raw) <= MAX_REPORT,
    )


def _look_behind(report: Report, octets: bytes, depth: int) -> Report:
    """A bounce whose words name nobody: it may give back another report, or it is about whom the returned mail shows."""
    inner = read_report(octets, depth + 1) if octets and depth < MAX_DEPTH else report
    if any(one.recipient for one in inner.findings):
        return inner
    shown = [one for one in report.returned.to_addresses if one not in report.returned.bounce_addresses]
    return replace(report, findings=tuple(replace(one, recipient=shown[0] if shown else "") for one in report.findings))


def _read(message: Message, parts: list[Part], words: str, octets: bytes) -> Report:
    header = split_returned(octets)
    returned = read_returned(header)
    report = read_arf(parts, returned) or read_provider_complaint(message, header, returned)
    if report is not None:
        return report
    report = read_dsn(parts, words)
    if report is not None:
        return replace(report, returned=returned)
    report = read_mdn(parts) or read_ses(words)
    if report is not None:
        return report
    kind = recognise(message, words)
    if kind is ReportKind.FREEFORM:
        return read_freeform(message, words, returned)
    if kind is ReportKind.NONE:
        return Report(kind)
    return Report(kind, (Finding(author_of(message), reply=read_reply(words[:MAX_SAID])),), returned=returned)
