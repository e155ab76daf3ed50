"""From rows to what the API says: an item is one mail for one recipient. Pure."""

from datetime import datetime, timedelta
from typing import Any

from contracts import clock
from contracts.settings import Settings

ITEM_COLUMNS = (
    "mail_id, recipient, direction, status, terminal, late, reason, detail, sender, sender_name, "
    "envelope_from, subject, message_id, reference, channel, stream, template, tag, received_at, updated_at, size, spf, dkim, "
    "dmarc, arc, iprev, bounce_type, bounce_class, smtp_code, enhanced_code, smtp_text, host, provider, source, attempts, next_attempt_at, "
    "peer_ip, helo"
)


def present_item(row: dict[str, Any], settings: Settings, now: datetime) -> dict[str, Any]:
    """One row of the log as an item of the API."""
    received = clock.utc(row["received_at"])
    return {
        "mail_id": str(row["mail_id"]),
        "recipient": row["recipient"],
        "direction": row["direction"],
        "status": row["status"],
        "terminal": bool(row["terminal"]),
        "late": bool(row["late"]),
        "reason": row["reason"] or None,
        "detail": row["detail"] or None,
        "from": row["sender"] or None,
        "from_name": row["sender_name"] or None,
        "envelope_from": row["envelope_from"],
        "subject": row["subject"],
        "message_id": row["message_id"] or None,
        "reference": row["reference"] or None,
        "channel": row["channel"] or None,
        "stream": row["stream"] or None,
        "template": row["template"] or None,
        "tag": row["tag"] or None,
        "received_at": clock.rfc3339(received),
        "updated_at": clock.rfc3339(clock.utc(row["updated_at"])),
        "size": row["size"],
        "spf": row["spf"],
        "dkim": row["dkim"],
        "dmarc": row["dmarc"],
        "arc": row["arc"],
        "iprev": row["iprev"],
        "bounce_type": row["bounce_type"] or None,
        "bounce_class": row["bounce_class"] or None,
        "smtp_code": row["smtp_code"] or None,
        "enhanced_code": row["enhanced_code"] or None,
        "smtp_text": row["smtp_text"] or None,
        "host": row["host"] or None,
        "provider": row["provider"] or None,
        "source": row["source"] or None,
        "attempts": row["attempts"],
        "next_attempt_at": clock.rfc3339(clock.utc(row["next_attempt_at"])) if row["next_attempt_at"] else None,
        "peer_ip": row["peer_ip"] or None,
        "helo": row["helo"] or None,
        "raw_available": row["size"] > 0 and received + settings.store.raw_retention > now,
        "expires_at": clock.rfc3339(received + settings.store.retention),
    }


def present_event(event: dict[str, Any]) -> dict[str, Any]:
    """A line of the timeline; what the mail's own fields say already is left out."""
    left_out = ("auth", "headers", "mail", "raw", "attempts")
    shown = {name: value for name, value in event.items() if name not in left_out}
    shown["occurred_at"] = three_decimals(event["occurred_at"])
    if event.get("next_attempt_at"):
        shown["next_attempt_at"] = three_decimals(event["next_attempt_at"])
    return shown


def present_attempts(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The attempts of one event, with the recipient that they were made for."""
    return [
        {
            **attempt,
            "recipient": event["recipient"],
            "started_at": three_decimals(attempt["started_at"]),
            "next_attempt_at": three_decimals(attempt["next_attempt_at"]) if attempt.get("next_attempt_at") else None,
        }
        for attempt in event.get("attempts") or []
    ]


def three_decimals(text: str) -> str:
    """A time of an event, with milliseconds."""
    return clock.rfc3339(datetime.fromisoformat(text))


def retention_start(settings: Settings, now: datetime) -> datetime:
    """Before this the log keeps nothing."""
    return now - settings.store.retention - timedelta(days=1)
