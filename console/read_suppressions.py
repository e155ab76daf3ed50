"""Suppressions from CSV (RFC 4180), line by line: pure. Each line is a change, or says what is wrong with it."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from console.answer_errors import Problem
from console.export_mails import FORMULA
from contracts import clock
from contracts.suppressions import SuppressionChange, SuppressionReason
from mail.addresses import is_address

COLUMNS = ("address", "reason", "since", "expires_at", "note", "mail_id", "by")
_LIMITS = {"note": 500, "mail_id": 36, "by": 200}  # characters
MAX_LINES = 200_000


@dataclass(frozen=True)
class ReadLine:
    """A line of the file; `change` is None where `message` says what is wrong."""

    number: int  # 1 is the heading
    address: str
    change: SuppressionChange | None = None
    message: str = ""


def read_suppressions(octets: bytes, now: datetime, by: str) -> list[ReadLine]:
    """The lines below the heading. Problem 422 when it is no such CSV."""
    try:
        text = octets.decode("utf-8-sig")
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        heading = [name.strip().lower() for name in next(rows, [])]
        if "address" not in heading:
            raise Problem(422, f"the first line names the columns, address among them (of: {', '.join(COLUMNS)})")
        unknown = [name for name in heading if name not in COLUMNS]
        if unknown:
            raise Problem(422, f"'{unknown[0][:100]}' is no column (of: {', '.join(COLUMNS)})")
        return list(_read(rows, heading, now, by))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Problem(422, f"this is no CSV in UTF-8: {error}") from error


def _read(rows: Iterator[list[str]], heading: list[str], now: datetime, by: str) -> Iterator[ReadLine]:
    for number, cells in enumerate(rows, 2):
        if number > MAX_LINES + 1:
            raise Problem(413, f"at most {MAX_LINES} lines at a time")
        if not any(cell.strip() for cell in cells):
            continue
        given = dict(zip(heading, (_without_quote(cell.strip()) for cell in cells), strict=False))
        address = given.get("address", "")[:320]
        try:
            if len(cells) > len(heading):
                raise ValueError("it has more cells than the heading")
            yield ReadLine(number, address, _change(given, now, by))
        except ValueError as wrong:
            yield ReadLine(number, address, message=str(wrong))


def _change(given: dict[str, str], now: datetime, by: str) -> SuppressionChange:
    if not is_address(given.get("address", "")):
        raise ValueError("this is no mail address")
    reason = given.get("reason") or SuppressionReason.MANUAL
    if reason not in list(SuppressionReason):
        raise ValueError(f"'{reason[:50]}' is no reason (of: {', '.join(SuppressionReason)})")
    for name, most in _LIMITS.items():
        if len(given.get(name, "")) > most:
            raise ValueError(f"{name} has more than {most} characters")
    since = _moment("since", given.get("since", "")) or now
    expires = _moment("expires_at", given.get("expires_at", ""))
    if since > now:
        raise ValueError("since is in the future")
    if expires is not None and expires <= now:
        raise ValueError("expires_at is in the past")
    note = given.get("note", "")
    if given.get("by") and given["by"] != by:
        note = f"{note} (by {given['by']})".strip()[: _LIMITS["note"]]
    return SuppressionChange(
        action="added",
        at=since,
        by=by,
        reason=SuppressionReason(reason),
        expires_at=expires,
        note=note,
        mail_id=given.get("mail_id", ""),
    )


def _moment(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} is no time such as 2026-11-27T12:00:00Z") from None
    return clock.utc(moment)


def _without_quote(cell: str) -> str:
    """Without the apostrophe that an export puts before what a spreadsheet would take for a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA) else cell
