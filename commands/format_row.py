"""A mail as one line of a terminal."""

from typing import Any

import click

from runtime.log import printable

COLOURS = {
    "delivered": "green",
    "forwarded": "green",
    "processed": "green",
    "received": "cyan",
    "sent": "cyan",
    "skipped": "bright_black",
    "dropped": "bright_black",
    "deferred": "yellow",
    "rejected": "magenta",
    "delivery_failed": "red",
    "failed": "red",
}


def format_row(item: dict[str, Any], time: str) -> str:
    """Time, status, from, to, subject, and why; other people's text with control characters escaped."""
    status = click.style(f"{item['status']:<15}", fg=COLOURS.get(item["status"]))
    why = item.get("detail") or item.get("reason") or ""
    arrow = f"{cut(item.get('from') or item.get('envelope_from') or '<>', 30):<30} → {cut(item['recipient'], 30):<30}"
    subject = cut(item.get("subject") or "", 40)
    return f"{time[:23]}  {status} {arrow}  {subject}" + (f"  {click.style(cut(why, 90), dim=True)}" if why else "")


def cut(text: str, width: int) -> str:
    """One printable line of at most `width` characters."""
    line = printable(text)
    return line if len(line) <= width else line[: width - 1] + "…"
