"""Pages from templates: everything that comes from a mail is escaped, and text that could deceive the eye is made visible."""

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader

from console import explain_mail
from console.advise import advise
from console.copy_texts import administrator_text, customer_text
from console.explain_status import MEANINGS, meaning
from console.judge_redelivery import may_redeliver
from contracts import clock

TEMPLATES = Path(__file__).with_name("templates")
STATIC = Path(__file__).with_name("static")
PAGES = (
    ("/", "Activity"),
    ("/notifications", "Notifications"),
    ("/incoming", "Incoming"),
    ("/suppressions", "Suppressions"),
    ("/trends", "Trends"),
    ("/system", "System"),
)  # in the order of the navigation
# Characters that reorder or hide what stands beside them (Unicode bidi controls, zero-width characters).
_DECEIVING = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")


def one_line(text: str | None) -> str:
    """The text on one line, with control and direction characters shown as U+FFFD."""
    return "".join(_visible(character) for character in text or "")


def _visible(character: str) -> str:
    if character in "\r\n\t":
        return " "
    if character in _DECEIVING or unicodedata.category(character) == "Cc":
        return "\N{REPLACEMENT CHARACTER}"
    return character


def visible_text(text: str) -> str:
    """The text with its lines, and other control and direction characters shown as U+FFFD."""
    return "".join(one if one in "\n\t" else _visible(one) for one in text.replace("\r\n", "\n"))


def clock_time(text: str, now: datetime | None = None) -> str:
    """`12:03:04` for today (UTC), `21 Nov 12:03` for other days."""
    moment, today = datetime.fromisoformat(text).astimezone(UTC), now or clock.now()
    return f"{moment:%H:%M:%S}" if moment.date() == today.date() else f"{moment.day} {moment:%b %H:%M}"


def full_time(text: str) -> str:
    """`23 November 2026, 12:03:04.120 UTC`."""
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M:%S}.{moment.microsecond // 1000:03d} UTC"


def octets(size: int) -> str:
    """`376 B`, `1.4 KiB`, `20 MiB`."""
    amount, unit = float(size), 0
    while amount >= 1024 and unit < 3:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f}".removesuffix(".0") + f" {('B', 'KiB', 'MiB', 'GiB')[unit]}"


def query(parameters: Mapping[str, str | list[str]], **changes: str | list[str] | None) -> str:
    """The parameters with some changed (None removes one, a list stands several times), as the end of a URL."""
    merged = {name: value for name, value in {**parameters, **changes}.items() if value}
    return f"?{urlencode(merged, doseq=True)}" if merged else "?"


def number(count: int) -> str:
    """`12,345`."""
    return f"{count:,}"


def long(seconds: int) -> str:
    """`30 min`, `6 h`, `1 day`."""
    for size, unit in ((86_400, "day"), (3600, "h")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds // 60} min"


def moment_of(seconds: int) -> str:
    """Unix time as the API writes it."""
    return clock.rfc3339(datetime.fromtimestamp(seconds, UTC))


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        line=one_line,
        visible=visible_text,
        clock=clock_time,
        fulltime=full_time,
        octets=octets,
        number=number,
        span=long,
        words=explain_mail.words,
    )
    environment.globals.update(
        tone=explain_mail.tone,
        auth_tone=explain_mail.auth_tone,
        what_happened=explain_mail.what_happened,
        why_line=explain_mail.why_line,
        advise=advise,
        customer_text=customer_text,
        administrator_text=administrator_text,
        author=explain_mail.author,
        may_redeliver=may_redeliver,
        query=query,
        meaning=meaning,
        meanings=MEANINGS,
        moment=moment_of,
    )
    return environment


_templates = _environment()


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. It is never kept by a cache: what it shows is for the one who asked."""
    html = _templates.get_template(template).render(
        principal=getattr(request.state, "principal", None), path=request.url.path, pages=PAGES, **values
    )
    return HTMLResponse(html, status, headers={"Cache-Control": "private, no-store"})
