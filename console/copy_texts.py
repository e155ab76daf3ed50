"""Texts to copy from a mail's page: for the customer, in plain words and with nothing of how we work; for the administrator of the other
side, with everything that finds the mail in their logs. Pure."""

from datetime import UTC, datetime
from typing import Any

from contracts.statuses import BounceClass, Direction, Reason, Status

# Why the recipient's side did not take it, as the end of a sentence.
_REFUSED = {
    BounceClass.INVALID_RECIPIENT: "there is no such mailbox",
    BounceClass.INACTIVE_MAILBOX: "the mailbox is disabled",
    BounceClass.INVALID_DOMAIN: "the domain takes no mail",
    BounceClass.MAILBOX_FULL: "the mailbox is full",
    BounceClass.MESSAGE_TOO_LARGE: "the message is too large for it",
    BounceClass.DNS_FAILURE: "the domain could not be found",
    BounceClass.CONNECTION_FAILED: "the mail server could not be reached",
    BounceClass.TLS_FAILURE: "no secure connection to the mail server was possible",
    BounceClass.ATTACHMENT_REJECTED: "the mail server does not take the attachment",
}
_NOT_SENT = {
    Reason.INVALID_ADDRESS: "the address is not a valid one",
    Reason.MESSAGE_TOO_LARGE: "the message is too large",
    Reason.PRIVATE_ADDRESS: "the address is set to receive no mail from us",
    Reason.UNSUBSCRIBED: "the address has unsubscribed from this kind of mail",
}


def customer_text(item: dict[str, Any]) -> str:
    """What a customer can be told about one row of the log: times in UTC, no hosts, no rules."""
    subject = f"“{_line(item['subject'])}” " if item["subject"] else ""
    when = _moment(item["received_at"])
    if item["direction"] == Direction.OUTBOUND:
        return f"Our mail {subject}to {_line(item['recipient'])} of {when}: {_outbound(item)}"
    return f"Your mail {subject}to {_line(item['recipient'])} of {when}: {_inbound(item)}"


def administrator_text(item: dict[str, Any], attempts: list[dict[str, Any]]) -> str:
    """What an administrator needs to find one row of the log on their side; `attempts` are those for its recipient, oldest first."""
    last = attempts[-1] if attempts else None
    lines = [
        ("Recipient", item["recipient"]),
        ("Envelope sender", item.get("wire_sender") or item["envelope_from"] or "<>"),
        ("From", item["from"]),
        ("Message-ID", f"<{item['message_id']}>" if item["message_id"] else None),
        (
            "Status",
            item["status"].replace("_", " ") + (f" ({item['reason'].replace('_', ' ')})" if item["reason"] else ""),
        ),
        ("Received by us", item["received_at"]),
    ]
    if last is not None:
        code = f"{last['code']} " if last.get("code") else ""
        lines += [
            ("Last attempt", f"{last['started_at']}, number {last['number']}, {last['duration_ms']} ms"),
            ("Server", " ".join(filter(None, (last.get("host"), f"[{last['ip']}]" if last.get("ip") else "")))),
            ("TLS", last.get("tls") or "none"),
            ("Answered to", last.get("command")),
            ("Answer", f"{code}{last.get('text') or 'none'}"),
        ]
    lines.append(("Our id", item["mail_id"]))
    return "\n".join(f"{name}: {_line(str(value))}" for name, value in lines if value)


def _outbound(item: dict[str, Any]) -> str:
    status, bounce, reason = item["status"], item["bounce_class"], item["reason"]
    if status == Status.DELIVERED:
        return (
            f"the mail server of {_domain(item)} accepted it on {_moment(item['updated_at'])}. If it is not in the inbox, please look into "
            "the spam folder, or ask the administrator of that mail server."
        )
    if status == Status.DEFERRED:
        again = f" The next attempt is on {_moment(item['next_attempt_at'])}." if item["next_attempt_at"] else ""
        return f"the mail server of {_domain(item)} has not taken it yet; it is being tried again.{again}"
    if status == Status.SENT:
        return "it is on its way."
    if status == Status.DELIVERY_FAILED:
        why = (
            _REFUSED.get(bounce, "the mail server refused it")
            if bounce in frozenset(BounceClass)
            else "it was not accepted in time"
        )
        return f"it could not be delivered: {why}."
    if status == Status.REJECTED:
        return "it was not sent, because earlier mail to this address could not be delivered. We can lift that if the address works again."
    return f"it was not sent: {_NOT_SENT.get(reason, 'the trouble is on our side, and we are looking at it')}."


def _inbound(item: dict[str, Any]) -> str:
    status = item["status"]
    if status == Status.PROCESSED:
        return f"it has arrived and became {_line(item['reference'])}." if item["reference"] else "it has arrived."
    if status in (Status.FORWARDED, Status.RECEIVED):
        return "it has arrived."
    if status == Status.DEFERRED:
        return "it has arrived and is being worked on."
    if status == Status.REJECTED:
        if item["reason"] in (Reason.UNKNOWN_RECIPIENT, Reason.RELAY_DENIED, Reason.NO_ROUTE):
            return "it was not accepted: there is no such address here. Your mail server has told you so."
        if item["reason"] in (
            Reason.SPF_FAIL,
            Reason.DKIM_FAIL,
            Reason.DMARC_REJECT,
            Reason.DMARC_QUARANTINE,
            Reason.BAD_FROM,
        ):
            return (
                "it was not accepted, because it could not be verified that it came from you. Please ask the administrator of your mail "
                "domain to check its SPF, DKIM and DMARC."
            )
        return "it was not accepted. Your mail server has told you so."
    if status in (Status.SKIPPED, Status.DROPPED):
        return "it has arrived, and nobody will answer it."
    return "it has arrived, but could not be processed; we are looking at it."


def _domain(item: dict[str, Any]) -> str:
    return _line(item["recipient"].rpartition("@")[2])


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _line(text: str) -> str:
    return " ".join(text.split())
