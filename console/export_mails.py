"""The log as CSV or NDJSON, streamed."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

COLUMNS = (
    "mail_id", "recipient", "direction", "status", "terminal", "late", "reason", "detail", "from", "subject", "message_id",
    "reference", "channel", "stream", "template", "received_at", "updated_at", "size", "spf", "dkim", "dmarc", "bounce_type",
    "bounce_class", "smtp_code", "enhanced_code", "attempts", "source", "raw_available", "expires_at",
)  # fmt: skip
FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # the last four are their full-width forms


async def as_ndjson(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    """One item a line."""
    async for items in pages:
        yield "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items).encode()


async def as_csv(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    """RFC 4180, with a heading. Text that a spreadsheet would take for a formula gets an apostrophe in front, and every cell is quoted:
    some take a semicolon within for the next cell."""
    yield as_lines([list(COLUMNS)])
    async for items in pages:
        yield as_lines([[as_cell(item[name]) for name in COLUMNS] for item in items])


def as_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


def as_lines(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(rows)
    return out.getvalue().encode()
