"""A mail as a handler gets it (design section 6)."""

import base64
from typing import Any

import msgspec

from contracts.events import Dispatch
from mail.authentication.strip_auth_results import is_ours
from mail.parse_headers import Message, split_message
from mail.read_body import read_body

MAX_FIELDS = 500
MAX_ATTACHED = 10 << 20  # octets of attachments that travel inside the JSON; the rest is behind raw_url


def describe_mail(command: Dispatch, raw: bytes, base_url: str, authserv_id: str) -> dict[str, Any]:
    """The JSON object for one recipient of one mail. Attachments beyond 10 MiB in all come without content. Authentication-Results that
    claim to be ours are no header of it (RFC 8601 section 5): ours stand in `auth`. What is behind `raw_url` is as received."""
    message = split_message(raw)
    body = read_body(raw)
    room = MAX_ATTACHED
    attachments = []
    for attachment in body.attachments:
        room -= len(attachment.content)
        attachments.append(
            {
                "name": attachment.name,
                "type": attachment.type,
                "size": len(attachment.content),
                "content_id": attachment.content_id or None,
                "content": base64.b64encode(attachment.content).decode() if room >= 0 else None,
            }
        )
    mail = command.mail
    return {
        "mail_id": command.mail_id,
        "recipient": command.recipient,
        "envelope_from": mail.envelope_from,
        "from": mail.from_,
        "from_name": mail.from_name,
        "subject": mail.subject,
        "message_id": mail.message_id,
        "in_reply_to": _ids(message, b"in-reply-to"),
        "references": _ids(message, b"references"),
        "reference": mail.reference or None,
        "channel": mail.channel or None,
        "received_at": msgspec.to_builtins(mail.received_at),
        "text": body.text,
        "html": body.html or None,
        "complete": body.complete,
        "attachments": attachments,
        "headers": [
            [field.raw[: field.colon].decode("ascii", "replace"), field.text()]
            for field in message.fields[:MAX_FIELDS]
            if field.name != b"authentication-results" or not is_ours(field.value, authserv_id)
        ],
        "auth": {name: getattr(mail, name) for name in ("spf", "dkim", "dmarc", "arc", "iprev")},
        "raw_url": f"{base_url}/api/v1/mails/{command.mail_id}/raw",
    }


def _ids(message: Message, name: bytes) -> list[str]:
    fields = message.all(name)
    return [word.strip("<>") for word in fields[0].text()[:8000].split()] if fields else []
