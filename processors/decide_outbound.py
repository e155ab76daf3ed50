"""What becomes of a mail of ours: `sent`, and one delivery for each recipient. Pure."""

from contracts.events import Action, Dispatch, MailEvent, Target
from contracts.settings import Settings
from contracts.statuses import Direction, Status
from mail.addresses import split_address
from mail.bounce_address import BounceAddresses
from processors.decision import Consequences, ReadMail
from processors.summarise import readable_headers, summarise


def decide_outbound(mail: ReadMail, settings: Settings, bounces: BounceAddresses) -> Consequences:
    """Each recipient gets an event, and a command whose envelope sender finds the mail again (VERP)."""
    envelope = mail.envelope
    out = Consequences()
    headers = readable_headers(mail.message, len(envelope.recipients))
    summary = summarise(envelope, mail.message, None, "")
    domain = split_address(envelope.envelope_from)[1] or split_address(summary.from_)[1]
    for recipient in envelope.recipients:
        out.events.append(
            MailEvent(
                mail_id=envelope.mail_id,
                recipient=recipient,
                direction=Direction.OUTBOUND,
                status=Status.SENT,
                terminal=False,
                occurred_at=envelope.received_at,
                detail=f"accepted from {envelope.user or 'an application'} over {envelope.protocol}",
                mail=summary,
                raw=mail.raw,
                headers=headers,
            )
        )
        out.commands.append(
            Dispatch(
                mail_id=envelope.mail_id,
                recipient=recipient,
                direction=Direction.OUTBOUND,
                action=Action.DELIVER,
                expires_at=envelope.received_at + settings.delivery.expire,
                raw=mail.raw,
                mail=summary,
                # A report has the null sender, and nobody is told when it does not arrive (RFC 3464 section 2).
                envelope_from=bounces.verp(envelope.mail_id, recipient, domain) if envelope.envelope_from else "",
                targets=[Target(address=recipient)],
                smtputf8=mail.needs_smtputf8,
            )
        )
    return out
