"""What happened to a mail for one recipient as plain text, to be pasted into a ticket. Pure."""

from typing import Any

from console.advise import advise
from console.explain_mail import author, what_happened, words
from console.render_page import full_time, one_line


def summarise_mail(item: dict[str, Any], attempts: list[dict[str, Any]], address: str) -> str:
    """A line for each fact; `address` is where its page is."""
    lines = [
        what_happened(item),
        f"Status: {words(item['status'])}",
        f"From: {author(item)}",
        f"To: {item['recipient']}",
        f"Subject: {item['subject'] or '(none)'}",
        f"Received: {full_time(item['received_at'])}",
    ]
    if item["message_id"]:
        lines.append(f"Message-ID: <{item['message_id']}>")
    if item["direction"] == "inbound":
        lines.append(f"Checks: SPF {item['spf']}, DKIM {item['dkim']}, DMARC {item['dmarc']}")
    for one in attempts:
        answer = " ".join(str(part) for part in (one["code"] or "", one["text"]) if part) or "no answer"
        where = one["host"] or one["ip"] or one["target"]
        lines.append(f"Attempt {one['number']}, {full_time(one['started_at'])}, {where}: {answer}")
    if (todo := advise(item)) is not None:
        lines.append(f"{todo.title}: {todo.text}")
    lines.append(address)
    return "\n".join(one_line(line) for line in lines)
